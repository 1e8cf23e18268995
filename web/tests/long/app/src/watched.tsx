import { createRoot } from 'react-dom/client';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider } from '@memwarden/react';
import { watchLeaks, type LeakWatch } from '@memwarden/react/leaks';
import { app } from './app';

declare global {
  interface Window {
    watching: { monitor: MemoryMonitor; leaks: LeakWatch };
  }
}

const monitor = createMemoryMonitor({
  endpoint: '/api/monitoring/frontend/reports',
  // Far more often than a page would, which may be more than the budget of a page allows.
  intervalMs: 1_000,
  reportIntervalMs: 2_000,
  budget: 1,
});
const leaks = watchLeaks(monitor, { minAgeMs: 1_000, sweepMs: 1_000 });
window.watching = { monitor, leaks };

createRoot(document.getElementById('root')!).render(<MemoryMonitorProvider monitor={monitor}>{app}</MemoryMonitorProvider>);
