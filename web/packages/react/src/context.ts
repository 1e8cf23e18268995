import { createContext, useContext, useEffect, useState } from 'react';
import { createInstance, type MemoryMonitor } from '@memwarden/client';

/** The monitor of the pages below a provider, and the hook that counts for it. */
export interface Tracking {
  readonly monitor: MemoryMonitor | undefined;
  readonly useTracking: (monitor: MemoryMonitor | undefined, name: string) => void;
}

function useNothing(): void {}

function useCommits(monitor: MemoryMonitor | undefined, name: string): void {
  const [instance] = useState(() => createInstance(monitor!.component(name)));
  // The function is new for each render: by it the instance knows a render whose effects React runs twice.
  const commit = (): (() => void) => instance.commit(commit);
  useEffect(commit);
}

export const TrackingContext = /* @__PURE__ */ createContext<Tracking>({ monitor: undefined, useTracking: useNothing });

/** Whether a page is sampled never changes, so neither does the hook, nor the order of hooks in the components below. */
export function createTracking(monitor: MemoryMonitor): Tracking {
  return { monitor, useTracking: monitor.sampled ? useCommits : useNothing };
}

/** The monitor of the nearest provider; undefined where there is none. */
export function useMemoryMonitor(): MemoryMonitor | undefined {
  return useContext(TrackingContext).monitor;
}
