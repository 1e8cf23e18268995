import type { MemoryMonitor } from '@memwarden/client';
import { watchCache } from './cache';

/** What is used of an Apollo Client, version 3 or 4, or of its InMemoryCache. */
export interface ApolloCacheLike {
  extract(): unknown;
}

type Data = Record<string, object>;

/** How many objects are looked at for references. */
const maxObjects = 5_000;

/** The ids that roots lead to, as `gc()` finds them, and objects on the way; undefined where there are too many. */
function reachable(data: Data, roots: readonly string[]): Set<unknown> | undefined {
  const reached = new Set<string | object>(roots);
  for (const one of reached) {
    if (reached.size > maxObjects) return undefined;
    for (const inner of Object.values(typeof one === 'string' ? (data[one] ?? {}) : one)) {
      if (typeof inner === 'object' && inner) reached.add((inner as { __ref?: string }).__ref ?? inner);
    }
  }
  return reached;
}

/**
 * Adds the entries of a normalised cache to a monitor; returns what removes them. Inactive are those that `gc()` would
 * take; Apollo gives none up by itself, so all of them count as never collected.
 */
export function watchApolloCache(monitor: MemoryMonitor, cache: ApolloCacheLike, name = 'apollo'): () => void {
  return watchCache(monitor, name, () => {
    const data = cache.extract() as Data & { __META?: { extraRootIds: string[] } };
    const ids = Object.keys(data).filter((id) => id !== '__META');
    const roots = ids.filter((id) => id.startsWith('ROOT_'));
    const reached = reachable(data, roots.concat(data.__META?.extraRootIds ?? []));
    // A root is like no other entry, and stands for none.
    return [ids, (id) => !roots.includes(id) && data[id], reached && ((id) => !reached.has(id)), undefined, roots.map((id) => data[id])];
  });
}
