import { createElement, Profiler, type ReactElement, type ReactNode } from 'react';
import { useMemoryMonitor } from './context';

export interface TimedRegionProps {
  readonly name: string;
  readonly children?: ReactNode;
}

/**
 * Adds up how long React renders what it holds, for each commit, under its name; what comes after rendering is not in it.
 * React measures in development and in its profiling build (`react-dom/profiling`) only; elsewhere nothing is timed, and
 * nothing breaks.
 */
export function TimedRegion({ name, children }: TimedRegionProps): ReactElement {
  const monitor = useMemoryMonitor();
  return createElement(
    Profiler,
    {
      id: name,
      onRender: (_id, _phase, actualMs) => {
        if (monitor?.active()) {
          const record = monitor.component(name);
          record.timed++;
          record.totalMs += actualMs;
          record.longestMs = Math.max(record.longestMs, actualMs);
        }
      },
    },
    children,
  );
}
