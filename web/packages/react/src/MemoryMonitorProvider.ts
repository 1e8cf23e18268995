import { createElement, useEffect, useState, type ReactElement, type ReactNode } from 'react';
import { createMemoryMonitor, type MemoryMonitor, type MonitorOptions } from '@memwarden/client';
import { createTracking, TrackingContext } from './context';

export interface MemoryMonitorProviderProps {
  /** A monitor of one's own. The one of the first render stays. */
  readonly monitor?: MemoryMonitor;
  /** For the monitor that the provider makes if it is given none; read once. */
  readonly options?: MonitorOptions;
  readonly children?: ReactNode;
}

/** Watches the page while it is mounted, and gives the hooks below it their monitor. It renders nothing of its own. */
export function MemoryMonitorProvider({ monitor, options, children }: MemoryMonitorProviderProps): ReactElement {
  const [tracking] = useState(() => createTracking(monitor ?? createMemoryMonitor(options)));
  useEffect(() => tracking.monitor?.start(), [tracking]);
  return createElement(TrackingContext.Provider, { value: tracking }, children);
}
