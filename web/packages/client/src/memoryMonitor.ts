import { createHeapReader, type HeapReading, type MemoryPerformance } from './heap';
import { changesOf, maxComponents, since, type ComponentRecord, type Components } from './registry';
import type { Snapshot } from './snapshots';
import { observe, type BlockingStats } from './tasks';
import { bytesOf, createTransport } from './transport';
import { growth, trendLength, type Thresholds, type Warning, type WarningKind } from './warnings';

export interface MonitorOptions {
  /** Where reports are posted to; without one nothing is ever sent. */
  readonly endpoint?: string;
  /** The release of the page, told with each report; at most 128 bytes. */
  readonly release?: string;
  /** The share of page loads that are watched at all, from 0 to 1; drawn once for a page. Default 1. */
  readonly sampleRate?: number;
  /** How often figures are read and judged: from 100 to 1e9 ms, by default 10,000. */
  readonly intervalMs?: number;
  /** How often figures are queued and sent: from 100 to 1e9 ms, by default 60,000. */
  readonly reportIntervalMs?: number;
  /** Each from 0; `Infinity` never warns. */
  readonly thresholds?: Partial<Thresholds>;
  /** The share of the page's time that the monitor may take before it turns itself off, from 0 to 1; default 0.005. */
  readonly budget?: number;
  /** Called for each warning; the same one comes again after five minutes at the earliest. */
  readonly onWarning?: (warning: Warning) => void;
}

/** What the monitor itself took of the page's time. */
export interface SelfStats {
  /** In all, in milliseconds: measured, and for commits estimated from their number. */
  readonly ms: number;
  /** Of the time since the last look, from 0 to 1. */
  readonly share: number;
  /** Whether the monitor turned itself off because it took too much. */
  readonly off: boolean;
}

/** What a cache tells of itself. */
export interface CacheStats {
  readonly entries: number;
  /** Entries that nobody uses at the moment. */
  readonly inactive?: number;
  /** An estimate. */
  readonly bytes?: number;
  /** Entries that are never given up by themselves. */
  readonly neverCollected?: number;
}

export interface MemoryStats {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The newest reading; undefined where the browser offers none. */
  readonly heap?: HeapReading | undefined;
  readonly components: Components;
  readonly longTasks: BlockingStats;
  /** Long animation frames, by the time for which they blocked. */
  readonly longFrames: BlockingStats;
  readonly caches: Readonly<Record<string, CacheStats>>;
  /** The newest warnings, at most 50. */
  readonly warnings: readonly Warning[];
  readonly self: SelfStats;
}

/**
 * Watches one page. No timer and no observer runs before `start`, nor after the function that it returns was called; what
 * components tell is counted all the same. Where `sampled` is false all of it does nothing, for the whole life of the page,
 * but for `component`, whose callers ask, and `takeSnapshot`, which is asked for.
 */
export interface MemoryMonitor {
  readonly sampled: boolean;
  /** Whether anything is to be counted: the page is sampled, and the monitor has not turned itself off. */
  active(): boolean;
  /** Begins to watch; may be called again after the end. Calls that overlap share one watch, which ends with the last. */
  start(): () => void;
  /** The record of the components of a name; names beyond the first 500 share one. */
  component(name: string): ComponentRecord;
  /**
   * Has a cache's figures read and copied at each interval, until the returned function is called, or `read` throws. The service is told of
   * all of them together, in 13 KB: of some 150, with names of usual length. Of those with one name the last is told of.
   */
  addCache(name: string, read: () => CacheStats): () => void;
  /** Something that starts and stops with the monitor, such as a probe, a function of its own for each; returns what removes it. */
  addPart(start: () => () => void): () => void;
  /** Runs work on the monitor's budget. */
  run(task: () => void): void;
  /**
   * Warns of a figure, at once, if it is above the threshold of its kind and in that one's unit, unless the same subject was
   * warned of in the last five minutes; in about 0.3 µs. Those who count ask `active` before.
   */
  warn(kind: WarningKind, subject: string, value: number): void;
  /** Queues an item of one's own. Its names are written in snake case, but for those of what has `entries`, as caches do. */
  report(kind: string, fields: object): void;
  /** The figures of the last interval; the same object until the next. */
  stats(): MemoryStats;
  /** Calls back after each interval, until the returned function is called. One that throws keeps the next from being called. */
  subscribe(listener: () => void): () => void;
  /** Reads the figures now and keeps them; the newest 20 are kept. */
  takeSnapshot(label: string): Snapshot;
  snapshots(): readonly Snapshot[];
  /** Sends what is queued. */
  flush(): Promise<void>;
}

const maxSnapshots = 20;
const maxWarnings = 50;
/** How many figures of components and caches are judged: three of each component that is told apart, and as many again. */
const maxJudged = 3_000;
/** How many components a report names: those that grew most since the last, then those with the most commits. */
const maxReported = 50;
const warningPauseMs = 300_000;
/** What the hook takes for one commit, at most, and a region that is timed too; `npm run bench` measures it. No clock is read there. */
const commitCostMs = 0.0005;
/** So many looks in a row over the budget turn the monitor off. */
const patience = 3;

/** What is known of a figure that is judged: its newest readings, and until when nothing is told of it. */
type Judged = [series: readonly number[], quietUntil: number];

/** Drawn once for a page: all monitors of it watch, or none that has the same rate. */
let draw: number | undefined;

export function createMemoryMonitor(options: MonitorOptions = {}): MemoryMonitor {
  const { release = '', sampleRate = 1, reportIntervalMs = 60_000, endpoint, budget = 0.005, intervalMs = 10_000, onWarning } = options;
  // A server renders pages for many: there is nothing of one page to watch.
  const sampled = !!globalThis.document && (draw ??= Math.random()) < sampleRate;
  const thresholds = {
    growing_cache: 100,
    many_commits: 60,
    slow_commit: 16,
    growing_instances: 20,
    growing_heap: 0.2,
    ...options.thresholds,
  };
  // How far each is within its bounds, at the least; NaN where one is.
  const within = Math.min(...Object.values(thresholds), 2e9 - intervalMs - reportIntervalMs, 1 - sampleRate, 1 - budget, reportIntervalMs - 100, intervalMs - 100, sampleRate, budget, 128 - bytesOf(release));
  if (!(within >= 0)) {
    throw new RangeError('sampleRate, budget: 0 to 1; intervals: 100 to 1e9; thresholds: from 0; release: to 128 bytes');
  }
  const readHeap = createHeapReader(performance as MemoryPerformance, globalThis.crossOriginIsolated);
  const { report, flush, leave, dropped } = createTransport(sampled && endpoint, release);
  const parts = new Map<() => () => void, (() => void) | void>();
  const judged = new Map<string, Judged>();
  const listeners = new Set<() => void>();
  const records: Record<string, ComponentRecord> = Object.create(null);
  const longTasks = { count: 0, totalMs: 0, longestMs: 0 };
  const longFrames = { count: 0, totalMs: 0, longestMs: 0 };
  const caches = new Map<() => CacheStats, string>();

  let snapshots: readonly Snapshot[] = [];
  let over = 0;
  let self: SelfStats = { ms: 0, share: 0, off: false };
  let names = 0;
  let warnings: readonly Warning[] = [];
  let watches = 0;
  let ms = 0;

  /** Runs something of the monitor's own, and adds what it took. */
  const run = (task: () => void) => {
    const began = performance.now();
    try {
      task();
    } finally {
      ms += performance.now() - began;
    }
  };

  const read = (): MemoryStats => {
    const at = Date.now();
    const all: Record<string, CacheStats> = {};
    for (const [readCache, name] of caches) {
      try {
        all[name] = { ...readCache() };
      } catch (error) {
        // One that cannot be read is not asked again: the other figures do not suffer from it.
        caches.delete(readCache);
        reportError(error);
      }
    }
    return { ...structuredClone({ components: records, longTasks, longFrames }), at, heap: readHeap(at), caches: all, self, warnings };
  };
  let stats = read();
  let reported = stats;

  /** Judges a figure; a trend by its growth: as it is (0), or as a share of what its series began with (1). */
  const judge = (kind: WarningKind, subject: string, value: number, trend?: 0 | 1) => {
    const at = Date.now();
    const key = kind + subject;
    const threshold = thresholds[kind];
    let [series, quietUntil] = judged.get(key) ?? [[], 0];
    if (trend! >= 0) {
      series = [...series, value].slice(-trendLength);
      value = growth(series) / series[0]! ** trend!;
    }
    // Caches have what names they like: those of yesterday are forgotten, at the price of trends that begin anew.
    if (judged.size >= maxJudged) judged.clear();
    judged.set(key, [series, quietUntil]);
    if (at >= quietUntil && value > threshold && sampled) {
      quietUntil = at + warningPauseMs;
      judged.set(key, [series, quietUntil]);
      const warning = { kind, subject, value, threshold, at };
      warnings = [...warnings, warning].slice(-maxWarnings);
      report('warning', { ...warning, warning: kind });
      try {
        onWarning?.(warning);
      } catch (error) {
        // React's commit, in which this may be, must not suffer from it.
        reportError(error);
      }
    }
  };

  /** Judges what is new since the last look, and sends figures when it is time to, which it is where the page may be left. */
  const tick = (leaving?: Event) => {
    // The page is shown again.
    if (leaving && !document.hidden) return;
    run(() => {
      const now = read();
      const { components, heap, caches } = now;
      const news = since(now, stats);
      // A page that is hidden is looked at out of turn: what happened in a moment is no rate.
      const newsMs = Math.max(intervalMs, news.at);
      for (const { name, commits, timed } of changesOf(news)) {
        ms += (timed + commits) * commitCostMs;
        judge('many_commits', name, (1000 * commits) / newsMs);
        judge('growing_instances', name, components[name]!.live, 0);
      }
      if (heap !== stats.heap) judge('growing_heap', heap!.source, heap!.bytes, 1);
      for (const name in caches) judge('growing_cache', name, caches[name]!.entries, 0);

      const share = (ms - self.ms) / newsMs;
      over = share > budget ? over + 1 : 0;
      self = { ms, share, off: over >= patience };
      stats = { ...now, self, warnings };
      if (self.off) {
        report('monitor_off', self);
        turn();
      }

      // At the nearest look: none comes to the millisecond.
      if (!leaving && !self.off && stats.at - reported.at < reportIntervalMs - intervalMs / 2) return;
      const change = since(stats, reported);
      const changed = changesOf(change).slice(0, maxReported);
      for (const one of changed) one.live = components[one.name]!.live;
      report('figures', {
        ms: Math.max(0, change.at),
        self,
        dropped: dropped(),
        longTasks: change.longTasks,
        longFrames: change.longFrames,
        heap,
        caches,
      });
      // One item for ten: an item must fit into a body, however long the names are.
      while (changed.length) report('components', { components: changed.splice(0, 10) });
      reported = stats;
      if (leaving) leave();
      else void flush();
    });
    listeners.forEach((listener) => listener());
  };

  /** Starts each part or stops it, unless it is as it should be. */
  const turn = () => parts.forEach((stop, start) => parts.set(start, watches && !self.off ? (stop ?? start()) : void stop?.()));

  const addPart = (start: () => () => void) => {
    parts.set(start, undefined);
    turn();
    return () => {
      parts.get(start)?.();
      parts.delete(start);
    };
  };

  addPart(() => observe('long-animation-frame', longFrames));
  addPart(() => observe('longtask', longTasks));
  addPart(() => {
    const timer = setInterval(tick, intervalMs);
    addEventListener('visibilitychange', tick);
    return () => {
      removeEventListener('visibilitychange', tick);
      clearInterval(timer);
    };
  });

  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    run,
    snapshots: () => snapshots,
    active: () => sampled && !self.off,
    stats: () => stats,
    addCache(name, readCache) {
      caches.set(readCache, name);
      return () => caches.delete(readCache);
    },
    takeSnapshot(label) {
      const snapshot = { label, stats: read() };
      snapshots = [...snapshots, snapshot].slice(-maxSnapshots);
      return snapshot;
    },
    sampled,
    addPart,
    component(name) {
      if (!records[name] && names++ >= maxComponents) name = '(other)';
      return (records[name] ??= { name, commits: 0, mounts: 0, unmounts: 0, live: 0, timed: 0, totalMs: 0, longestMs: 0 });
    },
    start() {
      let mine = +sampled;
      watches += mine;
      turn();
      return () => {
        watches -= mine;
        mine = 0;
        turn();
      };
    },
    warn: judge,
    report,
    flush,
  };
}
