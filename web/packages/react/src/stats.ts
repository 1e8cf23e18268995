import { useContext, useSyncExternalStore } from 'react';
import type { CacheStats, MemoryStats } from '@memwarden/client';
import { MonitorContext } from './context';

const noCaches: Readonly<Record<string, CacheStats>> = {};

const subscribeToNothing = () => () => undefined;

/** The figures of the page, new at each interval of the monitor; undefined without a provider. */
export function useMemoryStats(): MemoryStats | undefined {
  const monitor = useContext(MonitorContext);
  const read = () => monitor?.stats();
  return useSyncExternalStore(monitor?.subscribe ?? subscribeToNothing, read, read);
}

/** The figures of the caches that the monitor was told of, by name. */
export function useCacheStats(): Readonly<Record<string, CacheStats>> {
  return useMemoryStats()?.caches ?? noCaches;
}
