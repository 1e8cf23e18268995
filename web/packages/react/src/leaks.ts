'use client';
export { keepHolders, type Holders } from './leaks/holders';
export { useLeakTracking } from './leaks/useLeakTracking';
export { leakWatchOf, watchLeaks, type LeakOptions, type LeakReport, type LeakWatch } from './leaks/watch';
export type { LeakKind, Released } from './leaks/cohort';
