import type { MemoryStats } from './memoryMonitor';
import { changesOf, since, type ComponentRecord } from './registry';

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
  readonly longTasks: number;
  /** Entries by cache, where the cache is in both. */
  readonly caches: Readonly<Record<string, number>>;
}

/** A function of its own, so that pages that compare nothing do not load it. */
export function compareSnapshots({ stats: before }: Snapshot, { stats: after }: Snapshot): SnapshotChange {
  const change = since(after, before);
  const caches: Record<string, number> = {};
  for (const name in before.caches) if (name in after.caches) caches[name] = change.caches[name]!.entries;
  return {
    ms: change.at,
    heapBytes: before.heap?.source === after.heap?.source ? change.heap?.bytes : undefined,
    components: changesOf(change),
    longTasks: change.longTasks.count,
    caches,
  };
}
