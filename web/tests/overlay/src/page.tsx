import { QueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor, type MemoryStats } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { watchQueryCache } from '@memwarden/react/adapters/tanstack';
import { keepHolders, watchLeaks, type LeakReport, type Released } from '@memwarden/react/leaks';
import { MemoryOverlay } from '@memwarden/react/overlay';

declare global {
  interface Window {
    shown: {
      stats(): MemoryStats;
      leaks(): readonly LeakReport[];
      released(): readonly Released[];
      /** Shows the panel that leaks, and takes it away again. */
      cycle(): Promise<void>;
      /** The same with the overlay. */
      cycleOverlay(): Promise<void>;
      settle(): Promise<void>;
      /** Waits until the monitor has looked again. */
      look(): Promise<void>;
      /** Puts answers into the cache. */
      fill(entries: number): void;
      /** What the page's policy has forbidden. */
      forbidden: string[];
    };
  }
}

const forbidden: string[] = [];
document.addEventListener('securitypolicyviolation', ({ violatedDirective, sample }) => forbidden.push(`${violatedDirective} ${sample}`));
if (window.options.policy) {
  const policy = document.createElement('meta');
  policy.httpEquiv = 'Content-Security-Policy';
  policy.content = window.options.policy;
  document.head.append(policy);
}

// On a busy machine the short interval would have the monitor take too much, and turn itself off.
const monitor = createMemoryMonitor({ intervalMs: 200, budget: 1 });
const watch = watchLeaks(monitor, { minAgeMs: 0, holders: keepHolders() });
const client = new QueryClient();
watchQueryCache(monitor, client, 'products');

function Results() {
  usePerformanceTracking('Results');
  const [width, setWidth] = useState(0);
  useEffect(() => addEventListener('resize', () => setWidth(innerWidth)), []);
  return <p>{width}</p>;
}

function Search({ text }: { text: string }) {
  usePerformanceTracking('Search');
  return <output>{text}</output>;
}

let setShown: (shown: boolean) => void;
let setOverlay: (shown: boolean) => void;
let setCount: (count: number) => void;

function Page() {
  usePerformanceTracking('Page');
  const [text, setText] = useState('');
  const [count, putCount] = useState(0);
  const [shown, putShown] = useState(false);
  const [overlay, putOverlay] = useState(true);
  useEffect(() => {
    setShown = putShown;
    setOverlay = putOverlay;
    setCount = putCount;
  }, []);
  return (
    <main>
      <h1>Products</h1>
      <label>
        Search <input value={text} onChange={(event) => setText(event.target.value)} />
      </label>
      <Search text={text} />
      <section key={count % 2}>{count}</section>
      {shown && <Results />}
      {overlay && <MemoryOverlay {...window.options.overlay} />}
    </main>
  );
}

document.documentElement.lang = 'en';
document.title = 'Products';
createRoot(document.getElementById('root')!).render(
  <MemoryMonitorProvider monitor={monitor}>
    <Page />
  </MemoryMonitorProvider>,
);

const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
let commits = 0;

window.shown = {
  stats: () => monitor.stats(),
  leaks: () => watch.leaks(),
  released: () => watch.released(),
  async cycle() {
    setShown(true);
    await frame();
    await frame();
    setShown(false);
    await frame();
    watch.sweep();
  },
  async cycleOverlay() {
    setOverlay(false);
    await frame();
    setOverlay(true);
    await frame();
    await frame();
    watch.sweep();
  },
  async settle() {
    for (let i = 0; i < 3; i++) {
      setCount(++commits);
      await frame();
    }
    watch.sweep();
  },
  look: () =>
    new Promise((resolve) => {
      const end = monitor.subscribe(() => {
        end();
        resolve();
      });
    }),
  fill(entries) {
    const row = (i: number) => ({ id: 1e6 + i, name: 'product ' + i, price: i * 1.25, tags: ['new', 'in stock'], sizes: { width: i, height: 2 * i } });
    for (let i = 0; i < entries; i++) {
      // As it comes from a service: nothing of it is shared.
      const text = JSON.stringify({ page: i, rows: Array.from({ length: i % 40 }, (_, j) => row(i * j)), next: '/products?page=' + i });
      client.setQueryData(['products', i], JSON.parse(text));
    }
  },
  forbidden,
};
