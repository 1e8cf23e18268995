import type { MemoryMonitor } from '@memwarden/client';
import { estimateBytes, watchCache } from './cache';

/** What is used of a QueryClient of TanStack Query, version 4 or 5. */
export interface QueryClientLike {
  getQueryCache(): { getAll(): readonly QueryLike[] };
}

export interface QueryLike {
  readonly state: object;
  getObserversCount(): number;
  readonly gcTime?: number;
  /** The same in version 4. */
  readonly cacheTime?: number;
}

/** Adds the queries of a client to a monitor; returns what removes them. */
export function watchQueryCache(monitor: MemoryMonitor, client: QueryClientLike, name = 'tanstack'): () => void {
  return watchCache(monitor, name, () => {
    const all = client.getQueryCache().getAll();
    return {
      entries: all.length,
      inactive: all.filter((query) => !query.getObserversCount()).length,
      bytes: estimateBytes(all, (query) => query.state),
      neverCollected: all.filter((query) => (query.gcTime ?? query.cacheTime) === Infinity).length,
    };
  });
}
