/** From where on something is worth a warning of that kind. */
export interface Thresholds {
  /** Milliseconds from the beginning of a render to its commit, of each that a Profiler timed; default 16. */
  readonly slow_commit: number;
  /** Commits a second of all instances of one name; default 60. */
  readonly many_commits: number;
  /** Live instances that grow all the time, by how much at least; default 20. */
  readonly growing_instances: number;
  /** A heap whose floor grows, by which share at least; default 0.2. */
  readonly growing_heap: number;
  /** Entries of a cache that grow all the time, by how much at least; default 100. */
  readonly growing_cache: number;
}

export type WarningKind = keyof Thresholds;

export interface Warning {
  readonly kind: WarningKind;
  /** The component or the cache that it is about, or the source of the heap's readings. */
  readonly subject: string;
  readonly value: number;
  readonly threshold: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** How many readings a trend is judged by. */
export const trendLength = 12;

/**
 * By how much a series has grown: what the lowest of the newest third is above the highest of the oldest. A heap goes up
 * and down between collections, and a list with its filter; only what rises over both ends of that grows. Nothing is said
 * of a series that is not full.
 */
export function growth(series: readonly number[]): number {
  const third = trendLength / 3;
  return series.length < trendLength ? 0 : Math.min(...series.slice(-third)) - Math.max(...series.slice(0, third));
}
