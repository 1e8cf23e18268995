import type { CacheStats, MemoryMonitor } from '@memwarden/client';

/** How many of a list are looked at, at most; they stand for the others. */
const maxOfList = 20;
/** How many values are looked at on each level, about, and for how long in all. */
const maxValues = 20_000;
const maxMs = 2;
/** Where it ends what a level leaves to the one below, which is half at most: so there is an end to what goes on for ever. */
const fewest = 0.1;

/**
 * About how many bytes the values of entries take: headers and slots as engines have them, and strings of one byte for each
 * unit. Of each list a few are looked at, and stand for the others; they share what may be looked at among them. None of the
 * page's code runs for that: getters are left alone.
 */
export function estimateBytes<T>(entries: readonly T[], valueOf: (entry: T) => unknown): number {
  const began = performance.now();
  const seen = new Set();

  const sizeOfAll = <Part>(list: readonly Part[], may: number, valueOf: (part: Part) => unknown = (part) => part): number => {
    const few = Math.min(list.length, maxOfList, may);
    let bytes = 0;
    let i = 0;
    for (; i < few && (!i || performance.now() - began < maxMs); i++) {
      bytes += sizeOf(valueOf(list[Math.floor((i * list.length) / few)]!), may / (few + 1));
    }
    return i && 24 + (8 + bytes / i) * list.length;
  };

  const sizeOf = (value: unknown, may: number): number => {
    if (typeof value === 'string') return 16 + value.length;
    if (typeof value !== 'object' || !value || seen.has(value) || may < fewest) return 0;
    seen.add(value);
    if (ArrayBuffer.isView(value)) return sizeOf(value.buffer, may);
    if (value instanceof ArrayBuffer) return value.byteLength;
    if (value instanceof Blob) return value.size;
    if (value instanceof Array) return sizeOfAll(value, may);
    if (value instanceof Map || value instanceof Set) return sizeOfAll([...value.values()], may);
    return sizeOfAll(Object.keys(value), may, (key) => Object.getOwnPropertyDescriptor(value, key)?.value);
  };

  return Math.round(sizeOfAll(entries, maxValues, valueOf));
}

/** Adds a cache to a monitor. It is read so rarely that this takes no more than a thousandth of the page's time. */
export function watchCache(monitor: MemoryMonitor, name: string, read: () => CacheStats): () => void {
  let stats: CacheStats;
  let next = 0;
  return monitor.addCache(name, () => {
    const began = performance.now();
    if (began >= next) {
      stats = read();
      next = began + 1000 * (performance.now() - began);
    }
    return stats;
  });
}
