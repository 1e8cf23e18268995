/** From where on something is worth a warning. */
export interface Thresholds {
  /** A commit that a Profiler timed; default 16 ms. */
  readonly slowCommitMs: number;
  /** Commits of all instances of one name; default 60 a second. */
  readonly commitsPerSecond: number;
  /** Live instances that grow all the time, by how much at least; default 20. */
  readonly growingInstances: number;
  /** A heap whose floor grows, by which share at least; default 0.2. */
  readonly growingHeap: number;
  /** Entries of a cache that grow all the time, by how much at least; default 100. */
  readonly growingCache: number;
}

export const defaultThresholds: Thresholds = {
  slowCommitMs: 16,
  commitsPerSecond: 60,
  growingInstances: 20,
  growingHeap: 0.2,
  growingCache: 100,
};

export type WarningKind = 'slow_commit' | 'many_commits' | 'growing_instances' | 'growing_heap' | 'growing_cache';

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

/** Adds a reading to the last of a series. */
export function extend(series: readonly number[] | undefined, value: number): number[] {
  return [...(series ?? []), value].slice(-trendLength);
}

/**
 * By how much a series has grown: what the lowest of the newest third is above the highest of the oldest. A heap goes up
 * and down between collections, and a list with its filter; only what rises over both ends of that grows. Nothing is said
 * of a series that is not full.
 */
export function growth(series: readonly number[]): number {
  const third = trendLength / 3;
  return series.length < trendLength ? 0 : Math.min(...series.slice(-third)) - Math.max(...series.slice(0, third));
}

/** Lets through a warning of one kind about one subject only now and then. */
export function createThrottle(pauseMs: number): (kind: WarningKind, subject: string, at: number) => boolean {
  const last = new Map<string, number>();
  return (kind, subject, at) => {
    const key = kind + ' ' + subject;
    if (at - (last.get(key) ?? -Infinity) < pauseMs) return false;
    last.set(key, at);
    return true;
  };
}
