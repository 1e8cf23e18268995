import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, useMemoryStats, usePerformanceTracking } from '@memwarden/react';
import { keepHolders, watchLeaks, type LeakReport } from '@memwarden/react/leaks';

// It looks ten times as often as by default, and keeps book of holders: with a larger budget than a page in production has.
const monitor = createMemoryMonitor({ endpoint: '/api/monitoring/frontend/reports', intervalMs: 1_000, budget: 0.05 });
const found: LeakReport[] = [];
watchLeaks(monitor, { holders: keepHolders(), onLeak: (leak) => found.push(leak) });

/** Forgets to remove its listener. Open and close it a dozen times, and wait for the browser to collect. */
function Panel() {
  usePerformanceTracking('Panel');
  const [width, setWidth] = useState(innerWidth);
  useEffect(() => addEventListener('resize', () => setWidth(innerWidth)), []);
  return <p>The window is {width} pixels wide.</p>;
}
Panel.displayName = 'Panel';

function Figures() {
  const stats = useMemoryStats();
  return (
    <pre>
      {JSON.stringify(stats?.components.Panel)}
      {found.map(({ name, survivors, released, holders }) => `\n${name}: ${survivors} of ${released} are still there: ${holders.join('; ')}`)}
    </pre>
  );
}

function App() {
  const [open, setOpen] = useState(false);
  return (
    <main>
      <button onClick={() => setOpen(!open)}>{open ? 'close' : 'open'}</button>
      {open && <Panel />}
      <Figures />
    </main>
  );
}

createRoot(document.getElementById('root')!).render(
  <MemoryMonitorProvider monitor={monitor}>
    <App />
  </MemoryMonitorProvider>,
);
