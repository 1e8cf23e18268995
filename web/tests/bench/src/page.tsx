import { useEffect, useRef, useState, type ComponentType } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { watchLeaks } from '@memwarden/react/leaks';

declare global {
  interface Window {
    measure: {
      /** What a render of a kind takes beyond a plain one, in microseconds: the lower quartile and the median. */
      renders(): Record<Kind, [quartile: number, median: number]>;
      /** Milliseconds of sweeps over as many mounted components, of their slices, and of a millisecond of doing nothing. */
      sweeps(count: number, rounds: number): Promise<Record<'sweeps' | 'slices' | 'idle', number[]>>;
    };
  }
}

type Kind = 'ref' | 'effect' | 'byHand' | 'tracked';

/** So many that a commit takes a few milliseconds, which a pause of another process rarely falls into. */
const count = 2_000;
const rounds = 300;

function Plain({ n }: { n: number }) {
  const [value] = useState(n);
  return value < 0 ? <p /> : null;
}

/** The two parts of any counter. */
function WithRef({ n }: { n: number }) {
  useRef(0);
  const [value] = useState(n);
  return value < 0 ? <p /> : null;
}

function WithEffect({ n }: { n: number }) {
  useEffect(nothing);
  const [value] = useState(n);
  return value < 0 ? <p /> : null;
}

function nothing(): void {}

/** What anyone would write by hand who only wants to count. */
function ByHand({ n }: { n: number }) {
  const commits = useRef(0);
  useEffect(() => {
    commits.current++;
  });
  const [value] = useState(n);
  return value < 0 ? <p /> : null;
}

function Tracked({ n }: { n: number }) {
  usePerformanceTracking('Tracked');
  const [value] = useState(n);
  return value < 0 ? <p /> : null;
}

/** A page of many components that are rendered again at each call. */
function mount(Kind: ComponentType<{ n: number }>, monitor: MemoryMonitor): () => number {
  const root = createRoot(document.createElement('div'));
  let set: (n: number) => void;
  function Page() {
    const [n, setN] = useState(0);
    // eslint-disable-next-line react-hooks/globals -- it is how the benchmark gets hold of the page
    set = setN;
    return Array.from({ length: count }, (_, i) => <Kind key={i} n={n} />);
  }
  flushSync(() =>
    root.render(
      <MemoryMonitorProvider monitor={monitor}>
        <Page />
      </MemoryMonitorProvider>,
    ),
  );
  let n = 0;
  return () => {
    const began = performance.now();
    flushSync(() => set(++n));
    return performance.now() - began;
  };
}

function quantile(all: number[], share: number): number {
  return [...all].sort((a, b) => a - b)[Math.floor(all.length * share)]!;
}

window.measure = {
  renders() {
    const monitor = createMemoryMonitor({ sampleRate: window.options.sampled ? 1 : 0 });
    const kinds = { plain: Plain, ref: WithRef, effect: WithEffect, byHand: ByHand, tracked: Tracked };
    const pages = Object.entries(kinds).map(([name, Kind]) => ({ name, render: mount(Kind, monitor), times: [] as number[] }));
    for (let round = 0; round < rounds; round++) {
      // Each comes first as often as the others: what one leaves to the collector another may pay for.
      pages.push(pages.shift()!);
      for (const { render, times } of pages) times.push(render());
    }
    const plain = pages.find(({ name }) => name === 'plain')!.times;
    const beyond = (all: number[], share: number) => ((quantile(all, share) - quantile(plain, share)) * 1000) / count;
    return Object.fromEntries(pages.map(({ name, times }) => [name, [beyond(times, 0.25), beyond(times, 0.5)]])) as never;
  },
  async sweeps(components, rounds) {
    let slices: number[] = [];
    const monitor = createMemoryMonitor();
    const measured: MemoryMonitor = {
      ...monitor,
      run(task) {
        const began = performance.now();
        task();
        slices.push(performance.now() - began);
      },
    };
    const watch = watchLeaks(measured, { sweepMs: 100 });
    const root = createRoot(document.getElementById('root')!);
    const Row = ({ n }: { n: number }) => <i>{n}</i>;
    const page = (all: number, mark: string) => (
      <div>
        {Array.from({ length: all }, (_, i) => (
          <Row key={i} n={i} />
        ))}
        <b key={mark}>{mark}</b>
      </div>
    );
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const stop = measured.start();
    flushSync(() => root.render(page(components, 'a')));
    await pause(1_000); // the probes get to know the page
    const figures = { sweeps: [] as number[], slices: [] as number[], idle: [] as number[] };
    for (let i = 0; i < rounds; i++) {
      flushSync(() => root.render(page(components, 'b' + i))); // something is removed, so there is something to look for
      await pause(0); // the removal is seen
      slices = [];
      await pause(250);
      figures.sweeps.push(slices.reduce((sum, ms) => sum + ms, 0));
      figures.slices.push(...slices);
      // What the machine adds to any millisecond of work, while others work on it too.
      for (let j = 0; j < slices.length; j++) {
        const began = performance.now();
        while (performance.now() - began < 1);
        figures.idle.push(performance.now() - began);
        await pause(0);
      }
    }
    watch.stop();
    stop();
    return figures;
  },
};
