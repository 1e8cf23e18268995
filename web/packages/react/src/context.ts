import { createContext, useContext } from 'react';
import type { MemoryMonitor } from '@memwarden/client';

export const MonitorContext = /* @__PURE__ */ createContext<MemoryMonitor | undefined>(undefined);

/** The monitor of the nearest provider; undefined where there is none. */
export const useMemoryMonitor = (): MemoryMonitor | undefined => useContext(MonitorContext);
