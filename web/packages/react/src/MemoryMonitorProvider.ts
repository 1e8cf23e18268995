import { createElement, useEffect, useInsertionEffect, useState, type ReactElement, type ReactNode } from 'react';
import { createMemoryMonitor, type MemoryMonitor, type MonitorOptions } from '@memwarden/client';
import { MonitorContext } from './context';
import { countBy } from './instance';
import { decideFor } from './usePerformanceTracking';

export interface MemoryMonitorProviderProps {
  /** A monitor of one's own. The one of the first render stays. */
  readonly monitor?: MemoryMonitor;
  /** For the monitor that the provider makes if it is given none; read once. */
  readonly options?: MonitorOptions;
  readonly children?: ReactNode;
}

/**
 * Watches the page while it is mounted, and gives the hooks their monitor. It renders nothing of its own. A page has one;
 * where it has more, components are counted by the newest, also when that one was removed, but for those that another has
 * counted before: these it goes on counting for that one, while it is on itself.
 */
export function MemoryMonitorProvider({ children, options, monitor }: MemoryMonitorProviderProps): ReactElement {
  const [watching] = useState(() => decideFor(monitor ?? createMemoryMonitor(options)));
  // Before the effects of the components below, which count.
  useInsertionEffect(() => countBy(watching), [watching]);
  useEffect(() => watching.start(), [watching]);
  return createElement(MonitorContext.Provider, { value: watching }, children);
}
