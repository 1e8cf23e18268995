import type { MemoryStats } from './memoryMonitor';

/** Statistics that were kept, to be compared with later ones. */
export interface Snapshot {
  readonly label: string;
  readonly stats: MemoryStats;
}

export interface ComponentChange {
  readonly name: string;
  readonly commits: number;
  readonly mounts: number;
  readonly live: number;
}

/** What changed from one snapshot to a later one. */
export interface SnapshotChange {
  readonly ms: number;
  /** Absent if the two readings have not the same source, or there is none. */
  readonly heapBytes?: number;
  /** Components that changed, the ones with the most new live instances first. */
  readonly components: readonly ComponentChange[];
  readonly longTasks: number;
  /** Entries by cache, where the cache is in both. */
  readonly caches: Readonly<Record<string, number>>;
}

export function compareSnapshots({ stats: before }: Snapshot, { stats: after }: Snapshot): SnapshotChange {
  const components = Object.values(after.components)
    .map(({ name, commits, mounts, live }) => {
      const was = before.components[name];
      return {
        name,
        commits: commits - (was?.commits ?? 0),
        mounts: mounts - (was?.mounts ?? 0),
        live: live - (was?.live ?? 0),
      };
    })
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
