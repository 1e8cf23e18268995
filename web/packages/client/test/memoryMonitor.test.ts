import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { compareSnapshots, createMemoryMonitor, type CacheStats, type MemoryMonitor, type MonitorOptions, type Warning } from '../src';
import type { FrontendReport } from '../src';

const second = 1_000;
let stops: (() => void)[] = [];
let beacons: FrontendReport[];

beforeEach(() => {
  vi.useFakeTimers();
  beacons = [];
  vi.stubGlobal('navigator', {
    sendBeacon: (_url: string, body: string) => beacons.push(JSON.parse(body) as FrontendReport) > 0,
  });
});

afterEach(() => {
  stops.forEach((stop) => stop());
  stops = [];
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

beforeEach(() => heapIs(1));

function started(options: MonitorOptions = {}): MemoryMonitor {
  const monitor = createMemoryMonitor({ intervalMs: second, ...options });
  stops.push(monitor.start());
  return monitor;
}

/** The figure that Chromium gives; jsdom has none. */
function heapIs(bytes: number): void {
  Object.defineProperty(performance, 'memory', { configurable: true, value: { usedJSHeapSize: bytes, jsHeapSizeLimit: 1e9 } });
}

afterEach(() => {
  delete (performance as { memory?: unknown }).memory;
});

function hide(): void {
  const state = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  state.mockRestore();
}

test('options that cannot be used are refused', () => {
  expect(() => createMemoryMonitor({ sampleRate: 2 })).toThrow('sampleRate');
  // Beyond 2^31 ms browsers wait for no time at all.
  for (const ms of [Number.NaN, 99, 2e9 + 1, Infinity]) {
    for (const one of ['intervalMs', 'reportIntervalMs']) expect(() => createMemoryMonitor({ [one]: ms }), `${one} ${ms}`).toThrow('intervals: 100 to 1e9');
  }
  expect(() => createMemoryMonitor({ release: 'é'.repeat(65) })).toThrow('128 bytes');
  for (const budget of [Number.NaN, -0.1, 1.1, Infinity]) expect(() => createMemoryMonitor({ budget }), `${budget}`).toThrow('budget: 0 to 1');
  for (const one of ['slow_commit', 'many_commits', 'growing_instances', 'growing_heap', 'growing_cache']) {
    for (const value of [Number.NaN, -1]) {
      expect(() => createMemoryMonitor({ thresholds: { [one]: value } }), `${one} ${value}`).toThrow(RangeError);
      expect(() => createMemoryMonitor({ thresholds: { [one]: value } }), `${one} ${value}`).toThrow('thresholds: from 0');
    }
  }
  expect(createMemoryMonitor({ intervalMs: 1e9, reportIntervalMs: 1e9 }).sampled).toBe(true);
  for (const budget of [0, 1]) expect(createMemoryMonitor({ budget, thresholds: { slow_commit: 0, growing_heap: Infinity } }).sampled).toBe(true);
});

test('figures are new at each interval, and the same object between', () => {
  const monitor = started();
  const record = monitor.component('Cart');
  const heard = vi.fn();
  const unsubscribe = monitor.subscribe(heard);
  Object.assign(record, { commits: 1, mounts: 1, live: 1 });
  const before = monitor.stats();
  expect(monitor.stats()).toBe(before);
  vi.advanceTimersByTime(second);
  expect(heard).toHaveBeenCalledTimes(1);
  expect(monitor.stats().components.Cart).toMatchObject({ commits: 1, mounts: 1, live: 1 });
  unsubscribe();
  vi.advanceTimersByTime(second);
  expect(heard).toHaveBeenCalledTimes(1);
});

test('where the browser tells nothing of the heap, no bytes are shown', () => {
  delete (performance as { memory?: unknown }).memory;
  const monitor = started();
  vi.advanceTimersByTime(second);
  expect(monitor.stats().heap).toBeUndefined();
});

test('it ends with the last of those that started it, and can start again', () => {
  const monitor = createMemoryMonitor({ intervalMs: second });
  const part = { begin: vi.fn(), end: vi.fn() };
  const removePart = monitor.addPart(() => (part.begin(), part.end));
  expect(part.begin).not.toHaveBeenCalled();
  const [first, other] = [monitor.start(), monitor.start()];
  first();
  first();
  expect(part.end).not.toHaveBeenCalled();
  other();
  expect(part.begin).toHaveBeenCalledTimes(1);
  expect(part.end).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
  const at = monitor.stats();
  vi.advanceTimersByTime(10 * second);
  expect(monitor.stats()).toBe(at);
  monitor.start()();
  expect(part.begin).toHaveBeenCalledTimes(2);
  stops.push(monitor.start());
  removePart();
  expect(part.end).toHaveBeenCalledTimes(3);
});

test('a part begins again whatever its end returns', () => {
  const monitor = createMemoryMonitor();
  const end = vi.fn(() => true);
  const begin = vi.fn(() => end as unknown as () => void);
  monitor.addPart(begin);
  for (let i = 1; i < 4; i++) {
    monitor.start()();
    expect(begin).toHaveBeenCalledTimes(i);
    expect(end).toHaveBeenCalledTimes(i);
  }
});

test('a page that is not sampled does nothing', () => {
  const onWarning = vi.fn();
  const monitor = started({ sampleRate: 0, endpoint: '/reports', onWarning });
  const part = vi.fn();
  monitor.addPart(part);
  expect(monitor.sampled).toBe(false);
  expect(monitor.active()).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
  expect(part).not.toHaveBeenCalled();
  monitor.report('note', {});
  monitor.warn('slow_commit', 'Row', 1000);
  expect(onWarning).not.toHaveBeenCalled();
  hide();
  expect(beacons).toEqual([]);
});

test('a cache that cannot be read is told of once, and the others go on', () => {
  const reportError = vi.fn();
  vi.stubGlobal('reportError', reportError);
  const monitor = started();
  const broken = new Error('broken');
  monitor.addCache('broken', () => {
    throw broken;
  });
  monitor.addCache('sound', () => ({ entries: 1 }));
  vi.advanceTimersByTime(3 * second);
  expect(monitor.stats().caches).toEqual({ sound: { entries: 1 } });
  expect(reportError.mock.calls).toEqual([[broken]]);
});

test('figures of a cache are those of the moment, also where it gives the same object each time, or none', () => {
  const monitor = started();
  const figures = { entries: 1 };
  monitor.addCache('same', () => figures);
  monitor.addCache('none', () => undefined as never);
  const before = monitor.takeSnapshot('before');
  figures.entries = 5;
  vi.advanceTimersByTime(second);
  expect(monitor.stats().caches).toEqual({ same: { entries: 5 }, none: {} });
  expect(compareSnapshots(before, monitor.takeSnapshot('after')).caches).toEqual({ same: { entries: 4 }, none: {} });
});

test('of caches with one name the last is told of', () => {
  const monitor = started();
  monitor.addCache('queries', () => ({ entries: 1 }));
  const remove = monitor.addCache('queries', () => ({ entries: 2 }));
  vi.advanceTimersByTime(second);
  expect(monitor.stats().caches).toEqual({ queries: { entries: 2 } });
  remove();
  vi.advanceTimersByTime(second);
  expect(monitor.stats().caches).toEqual({ queries: { entries: 1 } });
});

describe('warnings', () => {
  test('of many commits, once in five minutes', () => {
    const warnings: Warning[] = [];
    const monitor = started({ thresholds: { many_commits: 10 }, onWarning: (warning) => warnings.push(warning) });
    const record = monitor.component('Chart');
    for (let i = 0; i < 10; i++) {
      record.commits += 20;
      vi.advanceTimersByTime(second);
    }
    expect(warnings).toEqual([expect.objectContaining({ kind: 'many_commits', subject: 'Chart', threshold: 10 })]);
    expect(warnings[0]!.value).toBeCloseTo(20, 0);
    expect(monitor.stats().warnings).toEqual(warnings);
    for (let i = 0; i < 300; i++) {
      record.commits += 20;
      vi.advanceTimersByTime(second);
    }
    expect(warnings).toHaveLength(2);
  });

  test('of slow commits, growing instances, a growing heap and a growing cache', () => {
    const kinds = new Set<string>();
    const monitor = started({ onWarning: ({ kind, subject }) => kinds.add(kind + ' ' + subject) });
    const record = monitor.component('Row');
    let entries = 0;
    monitor.addCache('queries', () => ({ entries }));
    for (let i = 1; i <= 12; i++) {
      record.live += 10;
      monitor.warn('slow_commit', 'Row', 20);
      entries += 50;
      heapIs(1e6 * (10 + i));
      vi.advanceTimersByTime(second);
    }
    expect([...kinds].sort()).toEqual(['growing_cache queries', 'growing_heap engine', 'growing_instances Row', 'slow_commit Row']);
  });

  test('of one figure that is above the threshold of its kind, at once, and again after five minutes', () => {
    const warnings: Warning[] = [];
    const monitor = started({ onWarning: (warning) => warnings.push(warning) });
    monitor.warn('slow_commit', 'List', 16);
    expect(warnings).toEqual([]);
    monitor.warn('slow_commit', 'List', 17);
    const warning = { kind: 'slow_commit', subject: 'List', value: 17, threshold: 16, at: Date.now() };
    expect(warnings).toEqual([warning]);
    monitor.warn('slow_commit', 'List', 300);
    monitor.warn('slow_commit', 'Chart', 20);
    expect(warnings).toMatchObject([warning, { subject: 'Chart', value: 20 }]);
    vi.advanceTimersByTime(300 * second);
    monitor.warn('slow_commit', 'List', 2);
    monitor.warn('slow_commit', 'List', 18);
    expect(warnings).toHaveLength(3);
    vi.advanceTimersByTime(second);
    expect(monitor.stats().warnings).toEqual(warnings);
  });

  test('names of caches that are no more are forgotten', () => {
    const onWarning = vi.fn();
    const monitor = started({ onWarning, budget: 1 });
    let entries = 0;
    monitor.addCache('queries', () => ({ entries: (entries += 50) }));
    vi.advanceTimersByTime(20 * second);
    expect(onWarning).toHaveBeenCalledOnce();
    const ends = Array.from({ length: 3_000 }, (_, i) => monitor.addCache('page ' + i, () => ({ entries: 1 })));
    vi.advanceTimersByTime(second);
    ends.forEach((end) => end());
    vi.advanceTimersByTime(20 * second);
    expect(onWarning).toHaveBeenCalledTimes(2); // it was not known any more that there was one a moment ago
  });

  test('of nothing where all is steady', () => {
    const onWarning = vi.fn();
    const monitor = started({ onWarning });
    monitor.component('Row').live = 500;
    for (let i = 0; i < 40; i++) {
      heapIs(1e7 + (i % 5) * 1e6);
      vi.advanceTimersByTime(second);
    }
    expect(onWarning).not.toHaveBeenCalled();
    expect(monitor.stats().heap).toMatchObject({ source: 'engine', limitBytes: 1e9 });
  });
});

describe('snapshots', () => {
  test('are kept within their bound', () => {
    const monitor = started();
    for (let i = 0; i < 25; i++) monitor.takeSnapshot('s' + i);
    expect(monitor.snapshots().map(({ label }) => label)).toEqual(Array.from({ length: 20 }, (_, i) => 's' + (i + 5)));
  });

  test('tell what changed, the most instances first', () => {
    const monitor = started();
    const [a, b] = [monitor.component('A'), monitor.component('B')];
    monitor.component('Same').live = 3;
    let entries = 5;
    const remove = monitor.addCache('pages', () => ({ entries }));
    heapIs(100);
    vi.advanceTimersByTime(second);
    const before = monitor.takeSnapshot('before');
    a.live = 2;
    a.mounts = 4;
    a.unmounts = 2;
    b.live = 9;
    b.commits = 1;
    entries = 12;
    heapIs(175);
    vi.advanceTimersByTime(second);
    const after = monitor.takeSnapshot('after');
    const none = { count: 0, totalMs: 0, longestMs: 0 };
    expect(compareSnapshots(before, after)).toEqual({
      ms: second,
      heapBytes: 75,
      longTasks: none,
      longFrames: none,
      caches: { pages: { entries: 7 } },
      components: [
        expect.objectContaining({ name: 'B', commits: 1, mounts: 0, live: 9 }),
        expect.objectContaining({ name: 'A', commits: 0, mounts: 4, unmounts: 2, live: 2 }),
      ],
      warnings: [],
      selfMs: after.stats.self.ms - before.stats.self.ms,
    });
    remove();
    expect(monitor.takeSnapshot('').stats.caches).toEqual({});
  });

  test('tell what blocked, of caches all figures, new warnings, and what the monitor took', () => {
    const tell: Record<string, (list: object) => void> = {};
    vi.stubGlobal(
      'PerformanceObserver',
      class {
        static supportedEntryTypes = ['longtask', 'long-animation-frame'];
        constructor(private readonly to: (list: object) => void) {}
        observe({ type }: { type: string }) {
          tell[type] = this.to;
        }
        disconnect() {}
      },
    );
    const blocked = (type: string, ...all: number[]) => tell[type]!({ getEntries: () => all.map((duration) => ({ duration })) });
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    const monitor = started({ thresholds: { many_commits: 10 }, budget: 1 });
    monitor.addCache('pages', () => pages);
    let pages: CacheStats = { entries: 5, inactive: 4, bytes: 1000, neverCollected: 1 };
    const busy = () => {
      monitor.component('A' + monitor.stats().warnings.length).commits += 20;
      vi.advanceTimersByTime(second);
    };
    blocked('longtask', 300, 60);
    blocked('long-animation-frame', 90);
    busy();
    const before = monitor.takeSnapshot('before');
    blocked('longtask', 70, 80);
    blocked('long-animation-frame', 120);
    pages = { entries: 9, inactive: 3, bytes: 1500, neverCollected: 1 };
    monitor.addCache('new', () => ({ entries: 2 }));
    monitor.run(() => (now += 7));
    busy();
    const after = monitor.takeSnapshot('after');
    clock.mockRestore();
    const change = compareSnapshots(before, after);
    expect(change).toMatchObject({
      longTasks: { count: 2, totalMs: 150, longestMs: 300 },
      longFrames: { count: 1, totalMs: 120, longestMs: 120 },
      caches: { pages: { entries: 4, inactive: -1, bytes: 500, neverCollected: 0 }, new: { entries: 2 } },
      warnings: [{ kind: 'many_commits', subject: 'A1' }],
    });
    expect(change.warnings).toHaveLength(1);
    expect(change.selfMs).toBeCloseTo(7.01); // and 20 commits
    pages = { entries: 9 };
    expect(compareSnapshots(after, monitor.takeSnapshot('')).caches.pages).toEqual({ entries: 0 });
  });

  test('compare no readings of different sources', () => {
    const monitor = started();
    const { stats } = monitor.takeSnapshot('');
    const of = (source: 'agent' | 'engine') => ({ label: '', stats: { ...stats, heap: { source, bytes: 1, at: 0 } } });
    expect(compareSnapshots(of('agent'), of('engine')).heapBytes).toBeUndefined();
  });
});

describe('reports', () => {
  test('are sent as the page goes, in snake case', () => {
    const monitor = started({ endpoint: '/reports', release: '7' });
    Object.assign(monitor.component('Cart'), { commits: 1, mounts: 1, live: 1 });
    heapIs(123);
    monitor.report('note', { someThing: { innerName: 1.23456 } });
    const caches = { userProfiles: { entries: 3, neverCollected: 1 }, 'of "B"': { inactive: 1, entries: 2 }, entries: { entries: 1 } };
    for (const [name, figures] of Object.entries(caches)) monitor.addCache(name, () => figures);
    hide();
    const items = beacons.flatMap((report) => report.items);
    expect(items.map(({ kind }) => kind)).toEqual(['note', 'figures', 'components']);
    expect(items[0]).toMatchObject({ some_thing: { inner_name: 1.23456 } });
    expect(items[1]).toMatchObject({ heap: { source: 'engine', bytes: 123, limit_bytes: 1e9 }, long_tasks: { count: 0 }, long_frames: { longest_ms: 0 } });
    // Names of caches are what somebody has called them.
    expect(items[1]!.caches).toEqual({ userProfiles: { entries: 3, never_collected: 1 }, 'of "B"': { inactive: 1, entries: 2 }, entries: { entries: 1 } });
    expect(items[2]).toMatchObject({ components: [{ name: 'Cart', commits: 1, mounts: 1, live: 1 }] });
    expect(beacons[0]).toMatchObject({ schema: 1, release: '7' });
  });

  test('tell of components what is new since the last', () => {
    const monitor = started({ endpoint: '/reports' });
    const record = monitor.component('Cart');
    for (const commits of [5, 7]) {
      record.commits += commits;
      hide();
    }
    hide();
    const told = beacons.flatMap((report) => report.items.filter(({ kind }) => kind === 'components'));
    expect(told.map((item) => (item.components as { commits: number }[])[0]!.commits)).toEqual([5, 7]);
  });

  test('are never sent without an endpoint', () => {
    const fetch = vi.fn();
    vi.stubGlobal('fetch', fetch);
    const monitor = started();
    monitor.component('Cart').commits = 9;
    vi.advanceTimersByTime(120 * second);
    void monitor.flush();
    hide();
    expect(beacons).toEqual([]);
    expect(fetch).not.toHaveBeenCalled();
  });

  test('go out at their interval', async () => {
    const fetch = vi.fn<typeof globalThis.fetch>(() => Promise.resolve(new Response(null, { status: 201 })));
    vi.stubGlobal('fetch', fetch);
    const monitor = started({ endpoint: '/reports', reportIntervalMs: 5 * second });
    await vi.advanceTimersByTimeAsync(11 * second);
    await monitor.flush();
    expect(fetch).toHaveBeenCalledTimes(2);
    expect(fetch.mock.calls[0]![1]).toMatchObject({ method: 'POST' });
    // Text is sent to other addresses unasked; in this mode what they answer could not be read.
    expect(fetch.mock.calls[0]![1]!.mode).not.toBe('no-cors');
  });
});

test('a monitor that takes too much turns itself off, and says so', () => {
  const monitor = started({ endpoint: '/reports', budget: 0.001 });
  expect(monitor.active()).toBe(true);
  const stop = vi.fn();
  monitor.addPart(() => stop);
  vi.stubGlobal('fetch', () => Promise.reject(new Error('no network')));
  for (let i = 0; i < 3; i++) {
    monitor.component('Busy').commits += 10_000;
    vi.advanceTimersByTime(second);
  }
  expect(monitor.stats().self.off).toBe(true);
  expect(stop).toHaveBeenCalledTimes(1);
  expect(monitor.active()).toBe(false);
  const last = monitor.stats();
  vi.advanceTimersByTime(10 * second);
  expect(monitor.stats()).toBe(last);
  monitor.start();
  expect(vi.getTimerCount()).toBe(0);
});

describe('the share of the time that the monitor takes', () => {
  /** A monitor whose clock moves when told to. */
  const setUp = () => {
    const time = { now: 0 };
    vi.spyOn(performance, 'now').mockImplementation(() => time.now);
    const monitor = started({ budget: 0.01 });
    const look = () => {
      vi.advanceTimersByTime(second);
      return monitor.stats().self;
    };
    return { time, monitor, look };
  };
  afterEach(() => void vi.restoreAllMocks());

  test('three looks in a row over the budget turn it off', () => {
    const { time, monitor, look } = setUp();
    const took = (ms: number) => {
      monitor.run(() => (time.now += ms));
      return look();
    };
    expect([50, 50, 1, 50, 50].map((ms) => took(ms).off)).toEqual([false, false, false, false, false]);
    expect(took(50)).toEqual({ ms: 251, share: 0.05, off: true });
  });

  test('commits are part of it, and so is what is timed', () => {
    const { monitor, look } = setUp();
    monitor.component('Busy').commits += 100_000;
    expect(look().share).toBeCloseTo(0.05);
    monitor.component('Busy').timed += 60_000;
    expect(look().share).toBeCloseTo(0.03);
  });

  test('work that fails is measured, and fails', () => {
    const { time, monitor, look } = setUp();
    expect(() =>
      monitor.run(() => {
        time.now += 7;
        throw new Error('broken');
      }),
    ).toThrow('broken');
    expect(look().ms).toBe(7);
  });
});
