import type { CacheStats, MemoryStats } from './memoryMonitor';
import { changesOf, since, type ComponentRecord } from './registry';
import type { BlockingStats } from './tasks';
import type { Warning } from './warnings';

/** Statistics that were kept, to be compared with later ones. */
export interface Snapshot {
  readonly label: string;
  readonly stats: MemoryStats;
}

/** What changed from one snapshot to a later one. */
export interface SnapshotChange {
  readonly ms: number;
  /** Undefined if the two readings have not the same source, or there is none. */
  readonly heapBytes: number | undefined;
  /** What changed of each component, the ones with the most new live instances first. */
  readonly components: readonly Readonly<ComponentRecord>[];
  /** How many there were meanwhile, and what they took in all; the longest is that of the page so far. */
  readonly longTasks: BlockingStats;
  readonly longFrames: BlockingStats;
  /** By how much their figures grew; those of a cache that was not there before, or was not told of, stand as they are. */
  readonly caches: Readonly<Record<string, CacheStats>>;
  /** The new ones, at most 50. */
  readonly warnings: readonly Warning[];
  /** What the monitor itself took meanwhile, in milliseconds. */
  readonly selfMs: number;
}

/** A function of its own, so that pages that compare nothing do not load it. */
export function compareSnapshots({ stats: before }: Snapshot, { stats: after }: Snapshot): SnapshotChange {
  const change = since(after, before);
  return {
    ms: change.at,
    heapBytes: before.heap?.source === after.heap?.source ? change.heap?.bytes : undefined,
    caches: change.caches,
    components: changesOf(change),
    longTasks: change.longTasks,
    longFrames: change.longFrames,
    warnings: after.warnings.filter((one) => !before.warnings.includes(one)),
    selfMs: change.self.ms,
  };
}
