import { useEffect, useInsertionEffect, useRef } from 'react';
import type { MemoryMonitor } from '@memwarden/client';
import { createInstance, type Instance } from './instance';

export interface TrackingOptions {
  /** Whether this instance is counted; default true. It may change: while it is false the instance is none of the live ones. */
  readonly enabled?: boolean;
}

/** What the hook does on this page. Once it has been called that never changes, nor the order of hooks in its callers. */
let chosen: ((name: string, options?: TrackingOptions) => void) | undefined;

function useCommits(name: string, options?: TrackingOptions): void {
  // A reference, because a state takes half as long again in each render.
  const ref = useRef<Instance | null>(null);
  const count = (ref.current ??= createInstance(name));
  useInsertionEffect(count, []);
  // The function is new for each render: by it the instance knows a render whose effects React runs twice.
  const commit = () => ((options?.enabled ?? true) ? count(commit) : undefined);
  useEffect(commit);
}

/** Leaves the hook empty on a page that is not sampled, if no component has called it before the first provider. */
export function decideFor(monitor: MemoryMonitor): MemoryMonitor {
  chosen ??= monitor.sampled ? useCommits : () => undefined;
  return monitor;
}

/**
 * Counts the commits, mounts, unmounts and live instances of the component that calls it, under a name that minifying leaves
 * alone. The name of the first commit stays; options may be new for each render. Counting is done in effects, and no clock is
 * read: what React renders and throws away is not counted. Before the first provider, on a server, on a page that is not sampled
 * and after the monitor has turned itself off nothing is counted. React before 19.2 does not tell the end of what is removed
 * while it waits in a Suspense: that is live no more, and missing among the unmounts.
 */
export function usePerformanceTracking(name: string, options?: TrackingOptions): void {
  (chosen ??= useCommits)(name, options);
}
