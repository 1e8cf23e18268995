import type { CacheStats, MemoryMonitor } from '@memwarden/client';

/** How many of a list are looked at, at most; they stand for the others. */
const maxOfList = 20;
/** How many values are looked at on each level, about, and for how long in all. */
const maxValues = 20_000;
const maxMs = 2;
/** Where it ends what a level leaves to the one below, which is half at most: so there is an end to what goes on for ever. */
const fewest = 0.1;

/**
 * About how many bytes the values of a list take: headers and slots as engines have them, and strings of one byte for each
 * unit. Of each list a few are looked at, and stand for the others; they share what may be looked at among them. Of a Map
 * its values are looked at. None of the page's code runs for that: getters are left alone.
 */
export function estimateBytes<T>(
  list: readonly T[],
  valueOf: (entry: T) => unknown = (one) => one,
  may = maxValues,
  until = performance.now() + maxMs,
  seen = new Set(),
): number {
  const few = may < fewest ? 0 : Math.min(list.length, maxOfList, may);
  const inner = <Part>(parts: readonly Part[], valueOf?: (part: Part) => unknown) => estimateBytes(parts, valueOf, may / Math.max(2, few), until, seen);

  const sizeOf = (value: unknown): number => {
    if (typeof value === 'string') return value.length + 16;
    if (typeof value !== 'object' || !value || seen.has(value)) return 0;
    seen.add(value);
    if (ArrayBuffer.isView(value)) return sizeOf(value.buffer);
    if (value instanceof ArrayBuffer) return value.byteLength;
    if (value instanceof Array) return inner(value);
    if (value instanceof Blob) return value.size;
    if (value instanceof Set || value instanceof Map) return inner([...value.values()]);
    return inner(Object.keys(value), (key) => Object.getOwnPropertyDescriptor(value, key)?.value);
  };

  let i = 0;
  let bytes = 0;
  while (i < few) {
    const size = sizeOf(valueOf(list[((i * list.length) / few) | 0]!));
    // What time did not suffice for counts only where there is nothing else: of what it holds little may have been seen.
    if (i && performance.now() >= until) break;
    bytes += size;
    i++;
  }
  return i && 8 * list.length + 24 + Math.floor((bytes * list.length) / i);
}

/** Adds a cache to a monitor. It is read so rarely that this takes no more than a thousandth of the page's time. */
export function watchCache(monitor: MemoryMonitor, name: string, read: () => CacheStats): () => void {
  let next = 0;
  let stats: CacheStats;
  return monitor.addCache(name, () => {
    const began = performance.now();
    if (began >= next) {
      stats = read();
      next = began + 1000 * (performance.now() - began);
    }
    return stats;
  });
}
