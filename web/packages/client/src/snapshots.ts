import type { MemoryStats } from './memoryMonitor';
import { since, type ComponentRecord } from './registry';

/** Statistics that were kept, to be compared with later ones. */
export interface Snapshot {
  readonly label: string;
  readonly stats: MemoryStats;
}

/** What changed from one snapshot to a later one. */
export interface SnapshotChange {
  readonly ms: number;
  /** Absent if the two readings have not the same source, or there is none. */
  readonly heapBytes?: number;
  /** What changed of each component, the ones with the most new live instances first. */
  readonly components: readonly Readonly<ComponentRecord>[];
  readonly longTasks: number;
  /** Entries by cache, where the cache is in both. */
  readonly caches: Readonly<Record<string, number>>;
}

export function compareSnapshots({ stats: before }: Snapshot, { stats: after }: Snapshot): SnapshotChange {
  const components = Object.values(after.components)
    .map((record) => since(record, before.components[record.name]))
    .filter((change) => change.commits || change.mounts || change.live)
    .sort((a, b) => b.live - a.live || b.commits - a.commits);
  const caches: Record<string, number> = {};
  for (const [name, { entries }] of Object.entries(after.caches)) {
    const was = before.caches[name];
    if (was) caches[name] = entries - was.entries;
  }
  const change = { ms: after.at - before.at, components, longTasks: after.longTasks.count - before.longTasks.count, caches };
  return before.heap && before.heap.source === after.heap?.source
    ? { ...change, heapBytes: after.heap.bytes - before.heap.bytes }
    : change;
}
