import { createElement, Profiler, type ReactElement, type ReactNode } from 'react';
import { useMemoryMonitor } from './context';

export interface TimedRegionProps {
  readonly name: string;
  readonly children?: ReactNode;
}

/**
 * Adds up how long commits of what it holds take, under its name: from the beginning of its render to the commit, and so with
 * all that React renders beside it, and with what the page does in between. React measures in development and in its profiling
 * build (`react-dom/profiling`) only; elsewhere nothing is timed, and nothing breaks.
 */
export function TimedRegion({ name, children }: TimedRegionProps): ReactElement {
  const monitor = useMemoryMonitor();
  return createElement(
    Profiler,
    {
      id: name,
      onRender: (_id, _phase, _renderMs, _baseMs, startMs, commitMs) => {
        if (monitor?.active()) {
          const record = monitor.component(name);
          record.timed++;
          record.totalMs += commitMs - startMs;
          record.longestMs = Math.max(record.longestMs, commitMs - startMs);
        }
      },
    },
    children,
  );
}
