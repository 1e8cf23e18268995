import { useState, type ComponentType, type ReactElement } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';

declare global {
  interface Window {
    bench: {
      /** What it takes to render one of many components again, in microseconds: once for each round. */
      renders(): Promise<number[]>;
      /** Shows so many elements, and looks at all of them a few times: how long each look took, and its longest piece. */
      sweeps(elements: number): Promise<{ totalMs: number; longestMs: number }[]>;
    };
  }
}

/** What a tool has to say to be measured. */
export interface Tool {
  /** The component that is rendered; a plain one if the tool looks from outside. */
  readonly Row?: ComponentType<{ n: number }>;
  /** What is around the page. */
  readonly around?: (page: ReactElement) => ReactElement;
  /** Looks at the page once, where it does that. */
  readonly look?: () => Promise<{ totalMs: number; longestMs: number }>;
}

const rows = 5_000;
const warmUp = 10;
/** A tool that is slow is measured less often. */
const mostRounds = 60;
const mostMs = 4_000;
const looks = 10;

function Plain({ n }: { n: number }) {
  const [value] = useState(n);
  return <i>{value}</i>;
}

const pause = () => new Promise((resolve) => setTimeout(resolve));

/** Shows so many components, and returns what renders them all again. */
function mount(count: number, { Row = Plain, around = (page) => page }: Tool): (n: number) => void {
  let set: (n: number) => void;
  function Page() {
    const [n, setN] = useState(0);
    // eslint-disable-next-line react-hooks/globals -- it is how the benchmark gets hold of the page
    set = setN;
    return (
      <div>
        {Array.from({ length: count }, (_, i) => (
          <Row key={i} n={n} />
        ))}
        {/* Something comes and goes at each commit, so there is something to look for. */}
        <b key={n}>{n}</b>
      </div>
    );
  }
  flushSync(() => createRoot(document.getElementById('root')!).render(around(<Page />)));
  return (n) => flushSync(() => set(n));
}

export function offer(tool: Tool): void {
  window.bench = {
    async renders() {
      const render = mount(rows, tool);
      const taken: number[] = [];
      const until = performance.now() + mostMs;
      for (let n = 1; n <= warmUp + mostRounds && (performance.now() < until || taken.length < 5); n++) {
        await pause(); // what a tool does later is not counted
        const began = performance.now();
        render(n);
        const took = performance.now() - began;
        if (n > warmUp) taken.push((took * 1000) / rows);
      }
      return taken;
    },
    async sweeps(elements) {
      const render = mount(elements, tool);
      await new Promise((resolve) => setTimeout(resolve, 1_000)); // the tool gets to know the page
      const taken: { totalMs: number; longestMs: number }[] = [];
      for (let n = 1; n <= looks; n++) {
        render(n);
        taken.push(await tool.look!());
      }
      return taken;
    },
  };
}
