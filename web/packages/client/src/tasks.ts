/** What blocked the page: tasks longer than 50 ms. */
export interface BlockingStats {
  readonly count: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

export const nothingBlocked: BlockingStats = { count: 0, totalMs: 0, longestMs: 0 };

export function addBlocking({ count, totalMs, longestMs }: BlockingStats, ms: number): BlockingStats {
  return { count: count + 1, totalMs: totalMs + ms, longestMs: Math.max(longestMs, ms) };
}

/** What TypeScript's library does not have yet: for how much of a frame the page was blocked. */
interface BlockingEntry extends PerformanceEntry {
  readonly blockingDuration: number;
}

/**
 * Calls back for each entry of a kind, those before the call included, and returns what ends it. Where the browser does
 * not know the kind nothing is called.
 */
export function observe(type: 'longtask' | 'long-animation-frame', each: (entry: BlockingEntry) => void): () => void {
  const observer = new PerformanceObserver((list) => (list.getEntries() as BlockingEntry[]).forEach(each));
  // Browsers write a warning to the console if they are asked for what they do not know.
  if (PerformanceObserver.supportedEntryTypes.includes(type)) observer.observe({ type, buffered: true });
  return () => observer.disconnect();
}
