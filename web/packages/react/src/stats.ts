import { useSyncExternalStore } from 'react';
import type { CacheStats, MemoryMonitor, MemoryStats } from '@memwarden/client';
import { useMemoryMonitor } from './context';

const noCaches: Readonly<Record<string, CacheStats>> = {};

function useRead<T>(read: (monitor: MemoryMonitor | undefined) => T): T {
  const monitor = useMemoryMonitor();
  const get = () => read(monitor);
  return useSyncExternalStore(monitor ? monitor.subscribe : subscribeToNothing, get, get);
}

function subscribeToNothing(): () => void {
  return () => undefined;
}

const readStats = (monitor: MemoryMonitor | undefined) => monitor?.stats();
const readCaches = (monitor: MemoryMonitor | undefined) => monitor?.stats().caches ?? noCaches;

/** The figures of the page, new at each interval of the monitor; undefined without a provider. */
export function useMemoryStats(): MemoryStats | undefined {
  return useRead(readStats);
}

/** The figures of the caches that the monitor was told of, by name. */
export function useCacheStats(): Readonly<Record<string, CacheStats>> {
  return useRead(readCaches);
}
