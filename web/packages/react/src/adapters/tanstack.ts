import type { MemoryMonitor } from '@memwarden/client';
import { watchCache } from './cache';

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
  return watchCache(monitor, name, () => [
    client.getQueryCache().getAll(),
    (query) => query.state,
    (query) => !query.getObserversCount(),
    (query) => (query.gcTime ?? query.cacheTime) === Infinity,
  ]);
}
