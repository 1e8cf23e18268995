import { useEffect, useState } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { watchLeaks } from '@memwarden/react/leaks';

declare global {
  interface Window {
    session: {
      /** Looks at the page and sends what there is to tell. */
      flush(): Promise<void>;
      /** Commits Cart once more and queues a note, so that one report has both. */
      note(text: string): void;
      /** Queues a note, and sends what waits at once. */
      send(text: string): Promise<void>;
      /** Shows what leaks, and takes it away again. */
      cycle(): Promise<void>;
      /** Lets the page commit and the probes look; between two calls the test forces a collection. */
      settle(): Promise<void>;
    };
  }
}

const monitor = createMemoryMonitor({
  endpoint: window.options.endpoint!,
  release: '1.2.3-ä',
  // Far more often than a page would, which is more than the budget of a page allows; each look reports.
  intervalMs: 500,
  reportIntervalMs: 250,
  budget: 1,
});
const watch = watchLeaks(monitor, { minAgeMs: 0 });

const frame = () => new Promise((resolve) => setTimeout(resolve, 20));
let again: () => void;
let show: (shown: boolean) => void;
let commit: () => void;

/** Leaks: nothing removes the listener. */
function Basket() {
  const [width, setWidth] = useState(0);
  usePerformanceTracking('Basket');
  useEffect(() => addEventListener('resize', () => setWidth(innerWidth)), []);
  return <p>{width}</p>;
}

function Shop() {
  const [shown, setShown] = useState(false);
  const [n, setN] = useState(0);
  useEffect(() => {
    show = setShown;
    commit = () => setN((last) => last + 1);
  }, []);
  return (
    <div>
      <em key={n}>{n}</em>
      {shown && <Basket />}
    </div>
  );
}

function Cart() {
  usePerformanceTracking('Cart');
  const [n, setN] = useState(0);
  return (
    <p
      ref={() => {
        again = () => flushSync(() => setN(n + 1));
      }}
    >
      {n}
    </p>
  );
}

createRoot(document.getElementById('root')!).render(
  <MemoryMonitorProvider monitor={monitor}>
    <Cart />
    <Shop />
  </MemoryMonitorProvider>,
);

window.session = {
  async flush() {
    await new Promise<void>((resolve) => {
      const stop = monitor.subscribe(() => resolve(stop()));
    });
    await monitor.flush();
  },
  note(text) {
    again();
    monitor.report('note', { text });
  },
  send(text) {
    monitor.report('note', { text });
    return monitor.flush();
  },
  async cycle() {
    for (const shown of [true, false]) {
      show(shown);
      await frame();
    }
    watch.sweep();
  },
  async settle() {
    for (let i = 0; i < 3; i++) {
      commit();
      await frame();
    }
    watch.sweep();
  },
};
