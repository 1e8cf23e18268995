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
    const roots = Object.keys(data)
      .filter((id) => id.startsWith('ROOT_'))
      .map((id) => data[id]);
    /** What roots lead to, as `gc()` finds it: entries, and objects on the way. */
    const reached = new Set<object>([roots, (__META?.extraRootIds ?? []).map((id) => ({ __ref: id }))]);
    for (const one of reached) {
      if (reached.size > maxObjects) break;
      for (const inner of Object.values(one)) {
        const next = data[inner?.__ref] ?? inner;
        if (typeof next === 'object' && next) reached.add(next);
      }
    }
    return {
      entries: all.length,
      ...(reached.size <= maxObjects && { inactive: all.filter((one) => !reached.has(one)).length }),
      // A root is like no other entry, and stands for none: it was seen when all are looked at.
      bytes: all.length && estimateBytes([roots, all]),
      neverCollected: all.length,
    };
  });
}
