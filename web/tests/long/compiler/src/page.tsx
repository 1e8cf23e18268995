import { useEffect, useState, version } from 'react';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor, type ComponentRecord } from '@memwarden/client';
import { MemoryMonitorProvider, useCacheStats, useMemoryStats, usePerformanceTracking, withPerformanceTracking } from '@memwarden/react';

declare global {
  interface Window {
    compiled: {
      version: string;
      /** Renders the page again with a new number. */
      press(): Promise<void>;
      /** Shows or hides the panel. */
      toggle(): Promise<void>;
      /** What the monitor counted, and what effects of the components themselves did. */
      counted(): { monitor: Record<string, number>; byHand: Record<string, number>; live: number };
      /** How many intervals the monitor has looked at; each renders what shows its figures. */
      intervals(): number;
    };
  }
}

const monitor = createMemoryMonitor({ intervalMs: 100, budget: 1 });
const byHand: Record<string, number> = {};
let intervals = 0;
monitor.subscribe(() => intervals++);
const cache = new Map<number, string>();
monitor.addCache('texts', () => ({ entries: cache.size }));

const count = (name: string) => {
  byHand[name] = (byHand[name] ?? 0) + 1;
};

/** Gets another number each time. */
function Counter({ n }: { n: number }) {
  usePerformanceTracking('Counter');
  useEffect(() => count('Counter'));
  return <b>{n}</b>;
}

/** Gets the same each time: the compiler keeps it from rendering, and then there is nothing to count. */
function Constant({ text }: { text: string }) {
  usePerformanceTracking('Constant');
  useEffect(() => count('Constant'));
  return <i>{text}</i>;
}

function Items({ items }: { items: number[] }) {
  useEffect(() => count('Panel'));
  return (
    <ul>
      {items.map((item) => (
        <li key={item}>{item}</li>
      ))}
    </ul>
  );
}

const Panel = withPerformanceTracking(Items, 'Panel');

/** Renders when the monitor has new figures, and at no other time. */
function Figures() {
  usePerformanceTracking('Figures');
  const stats = useMemoryStats();
  const { texts } = useCacheStats();
  useEffect(() => count('Figures'));
  const { commits = 0, live = 0 }: Partial<ComponentRecord> = stats?.components.Counter ?? {};
  return (
    <pre>
      {commits} commits, {live} live, {texts?.entries ?? 0} cached
    </pre>
  );
}

let setNumber: (n: number) => void;
let setOpen: (open: boolean) => void;

function Page() {
  const [n, setN] = useState(0);
  const [open, setPanelOpen] = useState(true);
  useEffect(() => {
    setNumber = setN;
    setOpen = setPanelOpen;
  }, []);
  return (
    <main>
      <Counter n={n} />
      <Constant text="always the same" />
      {open && <Panel items={[n, n + 1]} />}
      <Figures />
    </main>
  );
}

createRoot(document.getElementById('root')!).render(
  <MemoryMonitorProvider monitor={monitor}>
    <Page />
  </MemoryMonitorProvider>,
);

let n = 0;
let open = true;
const frame = () => new Promise<void>((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

window.compiled = {
  version,
  async press() {
    cache.set(++n, `text ${n}`);
    setNumber(n);
    await frame();
  },
  async toggle() {
    setOpen((open = !open));
    await frame();
  },
  counted() {
    const records = Object.values(monitor.takeSnapshot('').stats.components);
    return {
      monitor: Object.fromEntries(records.map(({ name, commits }) => [name, commits])),
      byHand: { ...byHand },
      live: records.reduce((sum, { live }) => sum + live, 0),
    };
  },
  intervals: () => intervals,
};
