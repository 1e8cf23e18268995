import type { MemoryMonitor } from '@memwarden/client';
import { SWRGlobalState } from 'swr/_internal';
import { estimateBytes, watchCache } from './cache';

/** What is used of a cache of SWR 2: `SWRConfig.defaultValue.cache`, `useSWRConfig().cache`, or what a provider made. */
export interface SwrCacheLike {
  keys(): Iterable<string>;
  get(key: string): unknown;
}

/** SWR's own state of each cache; the first part of it is the mounted hooks of each key. */
type State = WeakMap<SwrCacheLike, readonly unknown[] & { 0: Record<string, readonly unknown[]> }>;

/**
 * Adds a cache of SWR to a monitor; returns what removes it. SWR gives no entry up by itself, so all of them count as
 * never collected. Which ones components use is only in SWR's own state: where that is missing, it is not told.
 */
export function watchSwrCache(monitor: MemoryMonitor, cache: SwrCacheLike, name = 'swr'): () => void {
  return watchCache(monitor, name, () => {
    const users = (SWRGlobalState as State | undefined)?.get(cache)?.[0];
    const all = [...cache.keys()];
    return {
      entries: all.length,
      ...(users && { inactive: all.filter((key) => !users[key]?.length).length }),
      neverCollected: all.length,
      bytes: estimateBytes(all, (key) => cache.get(key)),
    };
  });
}
