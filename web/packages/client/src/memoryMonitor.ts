import { createBudget, type SelfStats } from './budget';
import { createHeapReader, type HeapReading, type MemoryPerformance } from './heap';
import { changesOf, recordOf, since, type ComponentRecord, type Components } from './registry';
import type { Snapshot } from './snapshots';
import { addBlocking, nothingBlocked, observe, type BlockingStats } from './tasks';
import { bytesOf, createTransport } from './transport';
import { growth, trendLength, type Thresholds, type Warning, type WarningKind } from './warnings';

export interface MonitorOptions {
  /** Where reports are posted to; without one nothing is ever sent. */
  readonly endpoint?: string;
  /** The release of the page, told with each report; at most 128 bytes. */
  readonly release?: string;
  /** The share of page loads that are watched at all, from 0 to 1; drawn once for a page. Default 1. */
  readonly sampleRate?: number;
  /** How often figures are read and judged; default 10,000 ms. */
  readonly intervalMs?: number;
  /** How often figures are queued and sent; default 60,000 ms. */
  readonly reportIntervalMs?: number;
  readonly thresholds?: Partial<Thresholds>;
  /** The share of the page's time that the monitor may take before it turns itself off; default 0.005. */
  readonly budget?: number;
  /** Called for each warning; the same one comes again after five minutes at the earliest. */
  readonly onWarning?: (warning: Warning) => void;
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
 * Watches one page. Nothing happens before `start`, and nothing after the function that it returns was called. Where
 * `sampled` is false all of it does nothing, for the whole life of the page.
 */
export interface MemoryMonitor {
  readonly sampled: boolean;
  /** Begins to watch; may be called again after the end. Calls that overlap share one watch, which ends with the last. */
  start(): () => void;
  /** The record of the components of a name; names beyond the first 500 share one. */
  component(name: string): ComponentRecord;
  /** Has a cache's figures read at each interval, until the returned function is called, or `read` throws. */
  addCache(name: string, read: () => CacheStats): () => void;
  /** Something that starts and stops with the monitor, such as a probe; returns what removes it. */
  addPart(start: () => () => void): () => void;
  /** Runs work on the monitor's budget. */
  run(task: () => void): void;
  /** Queues an item of one's own. Its names are written in snake case. */
  report(kind: string, fields: object): void;
  /** The figures of the last interval; the same object until the next. */
  stats(): MemoryStats;
  /** Calls back after each interval, until the returned function is called. */
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

/** What is known of a figure that is judged: its newest readings, and until when nothing is told of it. */
type Judged = [series: readonly number[], quietUntil: number];

/** Drawn once for a page: all monitors of it watch, or none that has the same rate. */
let draw: number | undefined;

export function createMemoryMonitor(options: MonitorOptions = {}): MemoryMonitor {
  const { endpoint, release = '', sampleRate = 1, intervalMs = 10_000, reportIntervalMs = 60_000, budget: share = 0.005, onWarning } = options;
  if (!(sampleRate >= 0 && sampleRate <= 1 && intervalMs >= 100 && reportIntervalMs >= 100 && bytesOf(release) <= 128)) {
    throw new RangeError('sampleRate: 0 to 1; intervalMs, reportIntervalMs: 100 or more; release: 128 bytes or less');
  }

  // A server renders pages for many: there is nothing of one page to watch.
  const sampled = typeof document !== 'undefined' && (draw ??= Math.random()) < sampleRate;
  const thresholds = {
    slow_commit: 16,
    many_commits: 60,
    growing_instances: 20,
    growing_heap: 0.2,
    growing_cache: 100,
    ...options.thresholds,
  };
  const budget = createBudget(share, () => performance.now());
  const readHeap = createHeapReader(performance as MemoryPerformance, globalThis.crossOriginIsolated);
  const transport = createTransport((sampled && endpoint) || '', release);
  const records = new Map<string, ComponentRecord>();
  const caches = new Map<() => CacheStats, string>();
  const parts = new Map<() => () => void, (() => void) | void>();
  const listeners = new Set<() => void>();
  const judged = new Map<string, Judged>();

  let watches = 0;
  let longTasks = nothingBlocked;
  let longFrames = nothingBlocked;
  let warnings: readonly Warning[] = [];
  let snapshots: readonly Snapshot[] = [];
  let self = budget.look(0);

  const readCaches = () => {
    const all: Record<string, CacheStats> = {};
    for (const [readCache, name] of caches) {
      try {
        all[name] = readCache();
      } catch (error) {
        // One that cannot be read is not asked again: the other figures do not suffer from it.
        caches.delete(readCache);
        reportError(error);
      }
    }
    return all;
  };

  const read = (): MemoryStats => {
    const at = Date.now();
    const components = structuredClone(Object.fromEntries(records));
    return { at, heap: readHeap(at), components, longTasks, longFrames, caches: readCaches(), warnings, self };
  };
  let stats = read();
  let reported = stats;

  /** Judges a figure; one that is to grow by its growth, the heap by that as a share of what its series began with. */
  const judge = (kind: WarningKind, subject: string, value: number) => {
    const key = kind + ' ' + subject;
    let [series, quietUntil] = judged.get(key) ?? [[], 0];
    if (kind.startsWith('growing')) {
      series = [...series, value].slice(-trendLength);
      value = growth(series) / (kind === 'growing_heap' ? series[0]! : 1);
    }
    const at = Date.now();
    const threshold = thresholds[kind];
    const told = value > threshold && at >= quietUntil;
    if (told) quietUntil = at + warningPauseMs;
    // Caches have what names they like: those of yesterday are forgotten, at the price of trends that begin anew.
    if (judged.size >= maxJudged) judged.clear();
    judged.set(key, [series, quietUntil]);
    if (!told) return;
    const warning = { kind, subject, value, threshold, at };
    warnings = [...warnings, warning].slice(-maxWarnings);
    transport.add('warning', { ...warning, warning: kind });
    onWarning?.(warning);
  };

  /** Judges what has become of the page since the last look, and tells how many commits there were. */
  const judgeAll = (now: MemoryStats) => {
    let all = 0;
    for (const { name, commits, timed, totalMs } of changesOf(now.components, stats.components)) {
      all += commits;
      judge('slow_commit', name, totalMs / timed);
      // A page that is hidden is looked at out of turn: what happened in a moment is no rate.
      judge('many_commits', name, (commits * 1000) / Math.max(intervalMs, now.at - stats.at));
      judge('growing_instances', name, now.components[name]!.live);
    }
    if (now.heap && now.heap !== stats.heap) judge('growing_heap', now.heap.source, now.heap.bytes);
    for (const name in now.caches) judge('growing_cache', name, now.caches[name]!.entries);
    return all;
  };

  const queueFigures = () => {
    const components = changesOf(stats.components, reported.components)
      .slice(0, maxReported)
      .map((change) => ({ ...change, live: stats.components[change.name]!.live }));
    transport.add('figures', {
      ...stats,
      components: undefined,
      warnings: undefined,
      longTasks: since(stats.longTasks, reported.longTasks),
      longFrames: since(stats.longFrames, reported.longFrames),
      ms: Math.max(0, stats.at - reported.at),
      dropped: transport.dropped(),
    });
    // One item for ten: an item must fit into a body, however long the names are.
    while (components.length) transport.add('components', { components: components.splice(0, 10) });
    reported = stats;
  };

  const tick = () => {
    budget.run(() => {
      const now = read();
      self = budget.look(judgeAll(now));
      stats = { ...now, warnings, self };
      if (self.off) {
        transport.add('monitor_off', self);
        run(false);
      }
      // At the nearest look: none comes to the millisecond.
      if (self.off || stats.at - reported.at >= reportIntervalMs - intervalMs / 2) {
        queueFigures();
        void transport.flush();
      }
    });
    listeners.forEach((listener) => listener());
  };

  const onHidden = () => {
    if (!document.hidden) return;
    tick();
    queueFigures();
    transport.leave();
  };

  const run = (on: boolean) => {
    for (const [start, stop] of parts) parts.set(start, on ? start() : stop?.());
  };

  const addPart = (start: () => () => void) => {
    parts.set(start, watches && !self.off ? start() : undefined);
    return () => {
      parts.get(start)?.();
      parts.delete(start);
    };
  };

  addPart(() => observe('longtask', ({ duration }) => (longTasks = addBlocking(longTasks, duration))));
  addPart(() => observe('long-animation-frame', ({ blockingDuration }) => (longFrames = addBlocking(longFrames, blockingDuration))));
  addPart(() => {
    const timer = setInterval(tick, intervalMs);
    document.addEventListener('visibilitychange', onHidden);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', onHidden);
    };
  });

  return {
    sampled,
    start() {
      let on = sampled && !self.off;
      if (on && !watches++) run(true);
      return () => {
        if (on && !--watches) run(false);
        on = false;
      };
    },
    component: (name) => recordOf(records, name),
    addCache(name, readCache) {
      caches.set(readCache, name);
      return () => caches.delete(readCache);
    },
    addPart,
    run: budget.run,
    report: transport.add,
    stats: () => stats,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    takeSnapshot(label) {
      const snapshot = { label, stats: read() };
      snapshots = [...snapshots, snapshot].slice(-maxSnapshots);
      return snapshot;
    },
    snapshots: () => snapshots,
    flush: transport.flush,
  };
}
