import { useEffect, useRef, useState, type ComponentType } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { watchLeaks } from '@memwarden/react/leaks';

declare global {
  interface Window {
    measure: {
      /** What a tracked render takes beyond a plain one, in microseconds, and one with a counter in an effect. */
      renders(): Record<'byHand' | 'tracked', number>;
      /** What a sweep over as many mounted components takes, in milliseconds, in all and in its longest slice. */
      sweep(count: number): Promise<{ totalMs: number; longestMs: number }>;
    };
  }
}

const count = 10_000;
const rounds = 60;

function Plain({ n }: { n: number }) {
  const [value] = useState(n);
  return value < 0 ? <p /> : null;
}

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

const median = (all: number[]) => all.sort((a, b) => a - b)[all.length >> 1]!;

window.measure = {
  renders() {
    const monitor = createMemoryMonitor({ sampleRate: window.options.sampled ? 1 : 0 });
    const pages = { plain: mount(Plain, monitor), byHand: mount(ByHand, monitor), tracked: mount(Tracked, monitor) };
    const times = { plain: [] as number[], byHand: [] as number[], tracked: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      for (const name of ['plain', 'byHand', 'tracked'] as const) times[name].push(pages[name]());
    }
    const plain = median(times.plain);
    const extra = (all: number[]) => ((median(all) - plain) * 1000) / count;
    return { byHand: extra(times.byHand), tracked: extra(times.tracked) };
  },
  async sweep(components) {
    const slices: number[] = [];
    const monitor = createMemoryMonitor();
    const measured: MemoryMonitor = {
      ...monitor,
      run(task) {
        const began = performance.now();
        task();
        slices.push(performance.now() - began);
      },
    };
    const watch = watchLeaks(measured, { sweepMs: 200 });
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
    const stop = measured.start();
    flushSync(() => root.render(page(components, 'a')));
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // the probes get to know the page
    const sweeps: number[] = [];
    let longest = 0;
    for (let i = 0; i < 10; i++) {
      slices.length = 0;
      flushSync(() => root.render(page(components, 'b' + i))); // something is removed, so there is something to look for
      slices.length = 0;
      await new Promise((resolve) => setTimeout(resolve, 500));
      sweeps.push(slices.reduce((sum, ms) => sum + ms, 0));
      longest = Math.max(longest, ...slices);
    }
    watch.stop();
    stop();
    return { totalMs: median(sweeps), longestMs: longest };
  },
};
