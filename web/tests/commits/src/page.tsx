/* A page whose regions wait for their commits: for a sibling that renders long, and for what the page does in between. */
import { startTransition, useState } from 'react';
import type { flushSync } from 'react-dom';
import type { createRoot } from 'react-dom/client';
// @ts-expect-error -- it has no types of its own
import * as renderer from 'react-dom/profiling';
import { createMemoryMonitor, type ComponentRecord } from '@memwarden/client';
import { MemoryMonitorProvider, TimedRegion } from '@memwarden/react';

declare global {
  interface Window {
    commits: {
      version: string;
      /** Renders the region in a transition, beside siblings that take so long together, while something else blocks the page. */
      wait(siblingsMs: number, blockedMs: number): Promise<void>;
      /** Renders the region in a transition that something urgent interrupts once; tells how often the region was rendered. */
      interrupt(siblingsMs: number): Promise<number>;
      /** What is known of the region. */
      read(): ComponentRecord;
    };
  }
}

const profiling = renderer as { version: string; createRoot: typeof createRoot; flushSync: typeof flushSync };
const monitor = createMemoryMonitor();
/** A sibling blocks for so long: React looks after each of them whether something else is to be done. */
const oneMs = 10;

function blockFor(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

/** What the next render of a region, and of the first sibling after it, do beside rendering. */
let onRegion: () => void = () => undefined;
let onSibling: () => void = () => undefined;

function Quick({ n }: { n: number }) {
  onRegion();
  return <b id="n">{n}</b>;
}

function Slow({ ms, first }: { ms: number; first: boolean }) {
  if (ms && first) onSibling();
  blockFor(ms);
  return <i />;
}

let setPage: (next: { n: number; siblings: number }) => void;
let setUrgent: (n: number) => void;

function Page() {
  const [{ n, siblings }, set] = useState({ n: 0, siblings: 0 });
  // eslint-disable-next-line react-hooks/globals -- it is how the test gets hold of the page
  setPage = set;
  return (
    <>
      <TimedRegion name="Region">
        <Quick n={n} />
      </TimedRegion>
      {Array.from({ length: siblings }, (_, i) => (
        <Slow key={`${n} ${i}`} ms={oneMs} first={i === 0} />
      ))}
    </>
  );
}

function Urgent() {
  const [n, set] = useState(0);
  // eslint-disable-next-line react-hooks/globals -- the same
  setUrgent = set;
  return <u id="urgent">{n}</u>;
}

profiling.createRoot(document.getElementById('root')!).render(
  <MemoryMonitorProvider monitor={monitor}>
    <Page />
    <Urgent />
  </MemoryMonitorProvider>,
);

let n = 0;
/** Shows the region anew in a transition, and waits until the page has it. */
async function show(siblingsMs: number): Promise<void> {
  n++;
  startTransition(() => setPage({ n, siblings: siblingsMs / oneMs }));
  while (document.getElementById('n')?.textContent !== String(n)) await new Promise((resolve) => setTimeout(resolve));
}

window.commits = {
  version: profiling.version,
  async wait(siblingsMs, blockedMs) {
    onSibling = () => {
      onSibling = () => undefined;
      setTimeout(blockFor, 0, blockedMs);
    };
    await show(siblingsMs);
  },
  async interrupt(siblingsMs) {
    let rendered = 0;
    onRegion = () => rendered++;
    onSibling = () => {
      onSibling = () => undefined;
      setTimeout(() => profiling.flushSync(() => setUrgent(n)));
    };
    await show(siblingsMs);
    onRegion = () => undefined;
    return rendered;
  },
  read: () => ({ ...monitor.component('Region') }),
};
