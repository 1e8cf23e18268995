/** What blocked the page: tasks longer than 50 ms. */
export interface BlockingStats {
  readonly count: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

/** The same, while it is counted. */
export type Blocking = { -readonly [key in keyof BlockingStats]: number };

/** What TypeScript's library does not have yet: for how much of a frame the page was blocked. */
interface BlockingEntry extends PerformanceEntry {
  readonly blockingDuration?: number;
}

/**
 * Adds up the entries of a kind, those before the call included, and returns what ends it. Where the browser does not know
 * the kind there are none.
 */
export function observe(type: 'longtask' | 'long-animation-frame', record: Blocking): () => void {
  const observer = new PerformanceObserver((list) => {
    for (const { duration, blockingDuration: ms = duration } of list.getEntries() as BlockingEntry[]) {
      record.count++;
      record.totalMs += ms;
      record.longestMs = Math.max(record.longestMs, ms);
    }
  });
  // What is buffered was counted already where there is a count: the monitor starts again.
  // Browsers write a warning to the console if they are asked for what they do not know.
  if (PerformanceObserver.supportedEntryTypes.includes(type)) observer.observe({ buffered: !record.count, type });
  return () => observer.disconnect();
}
