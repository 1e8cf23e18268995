import { useEffect } from 'react';
import { useSWRConfig } from 'swr';
import { useMemoryMonitor } from '@memwarden/react';
import { watchSwrCache } from '@memwarden/react/adapters/swr';

/** Stands below a <SWRConfig> with a provider of its own, and below the <MemoryMonitorProvider>. */
export function WatchCache() {
  const monitor = useMemoryMonitor();
  const { cache } = useSWRConfig();
  useEffect(() => monitor && watchSwrCache(monitor, cache, 'products'), [monitor, cache]);
  return null;
}
