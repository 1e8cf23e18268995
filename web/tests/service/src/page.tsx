import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { watchLeaks } from '@memwarden/react/leaks';

declare global {
  interface Window {
    session: {
      /** Looks at the page and sends what there is to tell. */
      flush(): Promise<void>;
      note(text: string): void;
      again(): void;
    };
  }
}

const monitor = createMemoryMonitor({
  endpoint: window.options.endpoint!,
  release: '1.2.3-ä',
  // Far more often than a page would, which is more than the budget of a page allows.
  intervalMs: 500,
  reportIntervalMs: 500,
  budget: 1,
});
watchLeaks(monitor);

let again: () => void;

function Cart() {
  usePerformanceTracking('Cart');
  const [n, setN] = useState(0);
  return (
    <p
      ref={() => {
        again = () => setN(n + 1);
      }}
    >
      {n}
    </p>
  );
}

createRoot(document.getElementById('root')!).render(
  <MemoryMonitorProvider monitor={monitor}>
    <Cart />
  </MemoryMonitorProvider>,
);

window.session = {
  async flush() {
    await new Promise<void>((resolve) => {
      const stop = monitor.subscribe(() => resolve(stop()));
    });
    await monitor.flush();
  },
  note: (text) => monitor.report('note', { text }),
  again: () => again(),
};
