import { createBudget, type SelfStats } from './budget';
import { agentPause, heapSource, readEngine, type HeapReading, type MemoryPerformance } from './heap';
import { createRegistry, since, type ComponentRecord } from './registry';
import { compareSnapshots, type Snapshot, type SnapshotChange } from './snapshots';
import { addBlocking, nothingBlocked, observe, type BlockingStats } from './tasks';
import { createTransport } from './transport';
import { createThrottle, defaultThresholds, extend, growth, type Thresholds, type Warning, type WarningKind } from './warnings';

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
  /** The newest reading; absent where the browser offers none. */
  readonly heap?: HeapReading;
  readonly components: Readonly<Record<string, Readonly<ComponentRecord>>>;
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
  compareSnapshots(before: Snapshot, after: Snapshot): SnapshotChange;
  /** Sends what is queued. */
  flush(): Promise<void>;
}

const maxSnapshots = 20;
const maxWarnings = 50;
/** How many components a report names: those with the most commits since the last. */
const maxReported = 50;
const warningPauseMs = 300_000;

/** Names in JSON are written in snake case; values are left alone. */
function toWire(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toWire);
  if (typeof value !== 'object' || value === null) return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key.replace(/[A-Z]/g, (letter) => '_' + letter.toLowerCase()), toWire(inner)]),
  );
}

/** Drawn once for a page: all monitors of it watch, or none that has the same rate. */
let draw: number | undefined;

function check(ok: boolean, want: string): void {
  if (!ok) throw new RangeError(want);
}

export function createMemoryMonitor(options: MonitorOptions = {}): MemoryMonitor {
  const { endpoint, release, sampleRate = 1, intervalMs = 10_000, reportIntervalMs = 60_000, budget: share = 0.005, onWarning } = options;
  check(sampleRate >= 0 && sampleRate <= 1, 'sampleRate: want 0 to 1');
  check(intervalMs >= 100 && reportIntervalMs >= 100, 'intervalMs, reportIntervalMs: want 100 at least');
  check(!release || new Blob([release]).size <= 128, 'release: want at most 128 bytes');

  // A server renders pages for many: there is nothing of one page to watch.
  const sampled = typeof document !== 'undefined' && (draw ??= Math.random()) < sampleRate;
  const thresholds = { ...defaultThresholds, ...options.thresholds };
  const page: MemoryPerformance = performance;
  const source = heapSource(page, globalThis.crossOriginIsolated);
  const clock = () => page.now();
  const budget = createBudget(share, clock);
  const registry = createRegistry();
  const transport = sampled && endpoint ? createTransport({ endpoint, release }) : undefined;
  const mayWarn = createThrottle(warningPauseMs);
  const caches = new Map<string, () => CacheStats>();
  const parts = new Map<() => () => void, (() => void) | undefined>();
  const listeners = new Set<() => void>();
  const trends = new Map<string, number[]>();
  const snapshots: Snapshot[] = [];

  let heap: HeapReading | undefined;
  let longTasks = nothingBlocked;
  let longFrames = nothingBlocked;
  let warnings: readonly Warning[] = [];
  let self: SelfStats = { ms: 0, share: 0, off: false };
  let watches = 0;
  let end: (() => void) | undefined;
  let judgedAt = clock();
  let reportedAt = judgedAt;

  const report = (kind: string, fields: object) =>
    transport?.add({ ...(toWire(fields) as object), kind, at: new Date().toISOString() });

  const readCaches = () => {
    const all: Record<string, CacheStats> = {};
    for (const [name, readCache] of caches) {
      try {
        all[name] = readCache();
      } catch (error) {
        // One that cannot be read is not asked again: the other figures do not suffer from it.
        caches.delete(name);
        reportError(error);
      }
    }
    return all;
  };

  const read = (): MemoryStats => ({
    at: Date.now(),
    ...(heap && { heap }),
    components: Object.fromEntries([...registry.records()].map((record) => [record.name, { ...record }])),
    longTasks,
    longFrames,
    caches: readCaches(),
    warnings,
    self,
  });
  let stats = read();
  let reported = stats;

  const warn = (kind: WarningKind, subject: string, value: number, threshold: number, at: number) => {
    if (!(value > threshold) || !mayWarn(kind, subject, at)) return;
    const warning = { kind, subject, value, threshold, at };
    warnings = [...warnings, warning].slice(-maxWarnings);
    report('warning', { warning: kind, subject, value, threshold });
    onWarning?.(warning);
  };

  const trend = (key: string, value: number) => {
    const series = extend(trends.get(key), value);
    trends.set(key, series);
    return series;
  };

  const judge = (before: MemoryStats, now: MemoryStats, seconds: number) => {
    const t = thresholds;
    for (const record of Object.values(now.components)) {
      const { name } = record;
      const { commits, timed, totalMs } = since(record, before.components[name]);
      if (timed) warn('slow_commit', name, totalMs / timed, t.slowCommitMs, now.at);
      // A page that is hidden is looked at out of turn: what happened in a moment is no rate.
      if (seconds * 2000 >= intervalMs) warn('many_commits', name, commits / seconds, t.commitsPerSecond, now.at);
      warn('growing_instances', name, growth(trend('live ' + name, record.live)), t.growingInstances, now.at);
    }
    if (now.heap && now.heap.at !== before.heap?.at) {
      const { source, bytes } = now.heap;
      const series = trend('heap ' + source, bytes);
      warn('growing_heap', source, growth(series) / series[0]!, t.growingHeap, now.at);
    }
    for (const [name, { entries }] of Object.entries(now.caches)) {
      warn('growing_cache', name, growth(trend('cache ' + name, entries)), t.growingCache, now.at);
    }
  };

  const queueFigures = () => {
    const components = Object.values(stats.components)
      .map((record) => ({ ...since(record, reported.components[record.name]), live: record.live }))
      .filter((change) => change.commits || change.mounts)
      .sort((a, b) => b.commits - a.commits)
      .slice(0, maxReported);
    const { heap, caches, self } = stats;
    const longTasks = since(stats.longTasks, reported.longTasks);
    const longFrames = since(stats.longFrames, reported.longFrames);
    report('figures', { ms: clock() - reportedAt, heap, longTasks, longFrames, caches, self, dropped: transport?.dropped() });
    // One item for ten: an item must fit into a body, however long the names are.
    for (let i = 0; i < components.length; i += 10) report('components', { components: components.slice(i, i + 10) });
    reported = stats;
    reportedAt = clock();
  };

  const commitsOf = (of: MemoryStats) => Object.values(of.components).reduce((sum, { commits }) => sum + commits, 0);

  const tick = () => {
    budget.run(() => {
      if (source === 'engine') heap = readEngine(page, Date.now());
      const now = read();
      const at = clock();
      judge(stats, now, (at - judgedAt) / 1000);
      self = budget.look(commitsOf(now) - commitsOf(stats));
      judgedAt = at;
      stats = { ...now, warnings, self };
      if (at - reportedAt >= reportIntervalMs) {
        queueFigures();
        void transport?.flush();
      }
    });
    listeners.forEach((listener) => listener());
    if (self.off) {
      report('monitor_off', self);
      void transport?.flush();
      end?.();
    }
  };

  const watch = (): (() => void) => {
    const ends: (() => void)[] = [];
    if (source === 'agent') {
      let timer: ReturnType<typeof setTimeout>;
      const plan = () => {
        timer = setTimeout(async () => {
          // The browser refuses while a navigation is under way; the next reading is tried all the same.
          const result = await page.measureUserAgentSpecificMemory!().catch(() => undefined);
          if (result) heap = { source: 'agent', bytes: result.bytes, at: Date.now() };
          if (end) plan();
        }, agentPause(Math.random()));
      };
      plan();
      ends.push(() => clearTimeout(timer));
    }
    ends.push(
      observe('longtask', (entry) => (longTasks = addBlocking(longTasks, entry.duration))),
      observe('long-animation-frame', (entry) => {
        longFrames = addBlocking(longFrames, (entry as PerformanceEntry & { blockingDuration: number }).blockingDuration);
      }),
    );
    const timer = setInterval(tick, intervalMs);
    const onHidden = () => {
      if (document.visibilityState !== 'hidden') return;
      tick();
      if (transport && end) {
        queueFigures();
        transport.leave();
      }
    };
    document.addEventListener('visibilitychange', onHidden);
    ends.push(
      () => clearInterval(timer),
      () => document.removeEventListener('visibilitychange', onHidden),
    );
    for (const start of parts.keys()) parts.set(start, start());
    return () => {
      ends.forEach((one) => one());
      for (const [start, stop] of parts) {
        stop?.();
        parts.set(start, undefined);
      }
    };
  };

  const start = () => {
    if (!sampled || self.off) return () => undefined;
    if (!watches++) {
      judgedAt = clock();
      budget.look(0);
      const stop = watch();
      end = () => {
        end = undefined;
        stop();
      };
    }
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (!--watches) end?.();
    };
  };

  return {
    sampled,
    start,
    component: registry.record,
    addCache(name, readCache) {
      caches.set(name, readCache);
      return () => void (caches.get(name) === readCache && caches.delete(name));
    },
    addPart(startPart) {
      parts.set(startPart, end && startPart());
      return () => {
        parts.get(startPart)?.();
        parts.delete(startPart);
      };
    },
    run: budget.run,
    report,
    stats: () => stats,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    takeSnapshot(label) {
      const snapshot = { label, stats: read() };
      snapshots.push(snapshot);
      if (snapshots.length > maxSnapshots) snapshots.shift();
      return snapshot;
    },
    snapshots: () => [...snapshots],
    compareSnapshots,
    flush: async () => transport?.flush(),
  };
}
