'use client';
export { MemoryMonitorProvider, type MemoryMonitorProviderProps } from './MemoryMonitorProvider';
export { TimedRegion, type TimedRegionProps } from './TimedRegion';
export { useMemoryMonitor } from './context';
export { useCacheStats, useMemoryStats } from './stats';
export { usePerformanceTracking, type TrackingOptions } from './usePerformanceTracking';
export { withPerformanceTracking } from './withPerformanceTracking';
