import type { CacheStats, MemoryMonitor } from '@memwarden/client';

/** How many of a list are looked at, at most; they stand for the others. */
const maxOfList = 20;
/** How many values are looked at on each level, about, and for how long in all. */
const maxValues = 20_000;
const maxMs = 2;
/** What a level leaves to the one below, at most, and where that ends: so there is an end to what goes on for ever. */
const inward = 0.5;
const fewest = 0.1;

/** The first of what a collection holds. */
function firstOf(collection: Iterable<unknown>): unknown[] {
  const first: unknown[] = [];
  for (const part of collection) if (first.push(part) >= maxOfList) break;
  return first;
}

/**
 * About how many bytes the values of entries take: headers and slots as engines have them, and strings of one byte for each
 * unit. Of each list a few are looked at, and stand for the others; they share what may be looked at among them. None of the
 * page's code runs for that: getters are left alone.
 */
export function estimateBytes<T>(entries: readonly T[], valueOf: (entry: T) => unknown): number {
  const began = performance.now();
  const seen = new WeakSet();

  const sizeOfAll = <Part>(list: readonly Part[], valueOf: (part: Part) => unknown, may: number): number => {
    const step = Math.ceil(list.length / Math.min(maxOfList, may));
    let bytes = 0;
    let looked = 0;
    for (let i = 0; i < list.length && (!i || performance.now() - began < maxMs); i += step) {
      bytes += sizeOf(valueOf(list[i]!), may * Math.min(inward, step / list.length));
      looked++;
    }
    return looked && 24 + (8 + bytes / looked) * list.length;
  };

  const sizeOf = (value: unknown, may: number): number => {
    if (typeof value === 'string') return 16 + value.length;
    if (typeof value !== 'object' || !value || seen.has(value) || may < fewest) return 0;
    seen.add(value);
    if (ArrayBuffer.isView(value)) return sizeOf(value.buffer, may);
    if (value instanceof ArrayBuffer) return value.byteLength;
    if (value instanceof Blob) return value.size;
    if (Array.isArray(value)) return sizeOfAll(value, (part) => part, may);
    if (value instanceof Map || value instanceof Set) {
      return sizeOfAll(firstOf(value), (part) => part, may) * Math.max(1, value.size / maxOfList);
    }
    return sizeOfAll(Object.keys(value), (key) => Object.getOwnPropertyDescriptor(value, key)?.value, may);
  };

  return Math.round(sizeOfAll(entries, valueOf, maxValues));
}

/**
 * What an adapter reads of a cache: its entries, what one holds, whether nobody uses it, and whether it is never given up.
 * Without that none ever is. Last is what stands for itself alone.
 */
export type Entries<T> = readonly [
  all: readonly T[],
  valueOf: (entry: T) => unknown,
  isInactive: ((entry: T) => boolean) | undefined,
  isKept?: ((entry: T) => boolean) | undefined,
  single?: readonly unknown[],
];

/** Adds a cache to a monitor. It is read so rarely that this takes no more than a thousandth of the page's time. */
export function watchCache<T>(monitor: MemoryMonitor, name: string, read: () => Entries<T>): () => void {
  let stats: CacheStats;
  let next = 0;
  return monitor.addCache(name, () => {
    const began = performance.now();
    if (began >= next) {
      const [all, valueOf, isInactive, isKept, single = []] = read();
      stats = {
        entries: all.length,
        ...(isInactive && { inactive: all.filter(isInactive).length }),
        bytes: estimateBytes(all, valueOf) + estimateBytes(single, (value) => value),
        neverCollected: isKept ? all.filter(isKept).length : all.length,
      };
      next = began + 1000 * (performance.now() - began);
    }
    return stats;
  });
}
