import { useEffect, useState } from 'react';
import type { MemoryMonitor } from '@memwarden/client';
import { createInstance } from './instance';

/** What the hook does on this page. Once it has been called that never changes, nor the order of hooks in its callers. */
let chosen: ((name: string) => void) | undefined;

function useCommits(name: string): void {
  const [count] = useState(() => createInstance(name));
  // The function is new for each render: by it the instance knows a render whose effects React runs twice.
  const commit = () => count(commit);
  useEffect(commit);
}

/** Leaves the hook empty on a page that is not sampled, if no component has called it before the first provider. */
export function decideFor(monitor: MemoryMonitor): MemoryMonitor {
  chosen ??= monitor.sampled ? useCommits : () => undefined;
  return monitor;
}

/**
 * Counts the commits, mounts and live instances of the component that calls it, under a name that minifying leaves alone.
 * The name of the first commit stays. Counting is done in an effect, and no clock is read: what React renders and throws
 * away is not counted. Without a provider, on a server and on a page that is not sampled nothing is counted.
 */
export function usePerformanceTracking(name: string): void {
  (chosen ??= useCommits)(name);
}
