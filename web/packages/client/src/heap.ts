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

interface EngineMemory {
  readonly usedJSHeapSize: number;
  readonly jsHeapSizeLimit: number;
}

/** What browsers add to Performance where they offer memory; not in TypeScript's library. */
export type MemoryPerformance = Performance & {
  readonly memory?: EngineMemory;
  measureUserAgentSpecificMemory?(): Promise<{ bytes: number }>;
};

/** The best source that the page has; undefined means that only counts are known, and no bytes are shown. */
export function heapSource(performance: MemoryPerformance, isolated: boolean): HeapSource | undefined {
  if (isolated && performance.measureUserAgentSpecificMemory) return 'agent';
  return performance.memory && 'engine';
}

/** Reads Chromium's figure, in about 10 µs. */
export function readEngine({ memory }: MemoryPerformance, at: number): HeapReading | undefined {
  return memory && { source: 'engine', bytes: memory.usedJSHeapSize, limitBytes: memory.jsHeapSizeLimit, at };
}

/**
 * The pause until the next reading of `agent`, which may take a collection and therefore many seconds: spread
 * exponentially with a mean of five minutes, so that readings favour no moment of the page's work.
 */
export function agentPause(random: number): number {
  return -Math.log(1 - random) * 300_000;
}
