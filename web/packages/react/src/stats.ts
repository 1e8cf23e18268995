import { useContext, useSyncExternalStore } from 'react';
import type { CacheStats, MemoryStats } from '@memwarden/client';
import { MonitorContext } from './context';

const noCaches: Readonly<Record<string, CacheStats>> = {};

/** Where there is no monitor to subscribe to, and what there is to show on a server: React takes undefined for both. */
const nothing = (): undefined => undefined;

/**
 * The figures of the page, new at each interval of the monitor; undefined without a provider, and on a server and while its HTML
 * is hydrated, where they would differ.
 */
export function useMemoryStats(): MemoryStats | undefined {
  const monitor = useContext(MonitorContext);
  const read = () => monitor?.stats();
  return useSyncExternalStore(monitor?.subscribe ?? (nothing as never), read, nothing);
}

/** The figures of the caches that the monitor was told of, by name. */
export function useCacheStats(): Readonly<Record<string, CacheStats>> {
  return useMemoryStats()?.caches ?? noCaches;
}
