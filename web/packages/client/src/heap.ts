/**
 * Where a reading of the heap comes from. The two measure different things, so readings are compared with those of the
 * same source alone: `agent` is what the browser says all of the page takes (cross-origin-isolated pages only), `engine`
 * is the coarse figure of Chromium for the JavaScript heap, good for a trend.
 */
export type HeapSource = 'agent' | 'engine';

export interface HeapReading {
  readonly source: HeapSource;
  readonly bytes: number;
  /** What the heap may take, where the engine tells. */
  readonly limitBytes?: number;
  /** When it was read, in milliseconds since 1970. */
  readonly at: number;
}

/** What browsers add to Performance where they offer memory; not in TypeScript's library. */
export interface MemoryPerformance {
  readonly memory?: { readonly usedJSHeapSize: number; readonly jsHeapSizeLimit: number };
  measureUserAgentSpecificMemory?(): Promise<{ bytes: number }>;
}

/**
 * Reads the best source that the page has: `engine` at each call, in about 10 µs; `agent` now and then, and the newest
 * reading of it is given until the next. None means that only counts are known, and no bytes are shown.
 */
export function createHeapReader(page: MemoryPerformance, isolated: boolean): (at: number) => HeapReading | undefined {
  let reading: HeapReading | undefined;
  /** When it was asked last; not yet, and then no time has gone since. */
  let last: number | undefined;
  return (at) => {
    if (isolated && page.measureUserAgentSpecificMemory) {
      // It may take a collection and therefore many seconds, so it is done every five minutes or so; by chance, so that
      // readings favour no moment of the page's work.
      if (Math.random() * 300_000 < at - last!) {
        page
          .measureUserAgentSpecificMemory()
          .then(({ bytes }) => (reading = { source: 'agent', bytes, at }))
          // The browser refuses while a navigation is under way; the next reading is tried all the same.
          .catch(() => undefined);
      }
      last = at;
    } else if (page.memory) {
      reading = { source: 'engine', bytes: page.memory.usedJSHeapSize, limitBytes: page.memory.jsHeapSizeLimit, at };
    }
    return reading;
  };
}
