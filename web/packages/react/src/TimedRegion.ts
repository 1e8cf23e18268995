import { createElement, Profiler, type ReactElement, type ReactNode } from 'react';
import { newest } from './instance';

export interface TimedRegionProps {
  readonly name: string;
  readonly children?: ReactNode;
}

/**
 * Adds up how long commits of what it holds take, under its name: from the beginning of its render to the commit, and so with
 * all that React renders beside it, and with what the page does in between. React measures in development and in its profiling
 * build (`react-dom/profiling`) only; elsewhere nothing is timed, and nothing breaks. Each that is slow is warned of, at once. It
 * counts by the monitor of the newest provider, as all components are.
 */
export function TimedRegion({ children, name }: TimedRegionProps): ReactElement {
  return createElement(
    Profiler,
    {
      onRender: (_id, _phase, _renderMs, _baseMs, startMs, commitMs) => {
        if (newest?.active()) {
          const record = newest.component(name);
          record.timed++;
          record.totalMs += commitMs - startMs;
          record.longestMs = Math.max(record.longestMs, commitMs - startMs);
          newest.warn('slow_commit', record.name, commitMs - startMs);
        }
      },
      id: name,
    },
    children,
  );
}
