/** What blocked the page: tasks longer than 50 ms. */
export interface BlockingStats {
  readonly count: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

export const nothingBlocked: BlockingStats = { count: 0, totalMs: 0, longestMs: 0 };

export function addBlocking(stats: BlockingStats, ms: number): BlockingStats {
  return { count: stats.count + 1, totalMs: stats.totalMs + ms, longestMs: Math.max(stats.longestMs, ms) };
}

/**
 * Calls back for each entry of a kind, those before the call included, and returns what ends it. Where the browser does
 * not know the kind nothing is called.
 */
export function observe(type: 'longtask' | 'long-animation-frame', each: (entry: PerformanceEntry) => void): () => void {
  if (!globalThis.PerformanceObserver?.supportedEntryTypes?.includes(type)) return () => undefined;
  const observer = new PerformanceObserver((list) => list.getEntries().forEach(each));
  observer.observe({ type, buffered: true });
  return () => observer.disconnect();
}
