import type { MemoryMonitor } from '@memwarden/client';
import { estimateBytes, watchCache } from './cache';

/** What is used of an Apollo Client, version 3 or 4, or of its InMemoryCache. */
export interface ApolloCacheLike {
  extract(): unknown;
}

type Data = Record<string, object>;

/** How many objects are looked at for references. */
const maxObjects = 5_000;

/**
 * Adds the entries of a normalised cache to a monitor; returns what removes them. Inactive are those that `gc()` would
 * take; Apollo gives none up by itself, so all of them count as never collected.
 */
export function watchApolloCache(monitor: MemoryMonitor, cache: ApolloCacheLike, name = 'apollo'): () => void {
  return watchCache(monitor, name, () => {
    const { __META, ...data } = cache.extract() as Data & { __META?: { extraRootIds: string[] } };
    const all = Object.values(data);
    // Roots are called ROOT_QUERY and so on, and there may be more.
    const roots = Object.keys(data)
      .filter((id) => /^ROOT_\w+$/.test(id) || __META?.extraRootIds.includes(id))
      .map((id) => data[id]);
    // A root is like no other entry, and stands for none: among all it counts nothing, because it was seen before.
    const stats = { entries: all.length, bytes: all.length && estimateBytes<unknown>([roots, all]), neverCollected: all.length };
    /** What roots lead to, as `gc()` finds it: entries, and objects on the way. */
    const reached = new Set<object>([roots]);
    for (const one of reached) {
      if (reached.size > maxObjects) return stats;
      for (const inner of Object.values(one)) {
        const next = data[inner?.__ref] ?? inner;
        if (next && typeof next === 'object') reached.add(next);
      }
    }
    return { ...stats, inactive: all.filter((one) => !reached.has(one)).length };
  });
}
