// @vitest-environment node
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createHeapReader } from '../src/heap';
import { createMemoryMonitor } from '../src/memoryMonitor';
import { changesOf, maxComponents, since, type ComponentRecord } from '../src/registry';
import { observe } from '../src/tasks';
import { growth, trendLength } from '../src/warnings';

describe('heap', () => {
  const memory = { usedJSHeapSize: 10, jsHeapSizeLimit: 20 };
  const measureUserAgentSpecificMemory = () => Promise.resolve({ bytes: 1 });

  test('the engine is read at each call, and says what it is', () => {
    const engine = { source: 'engine', bytes: 10, limitBytes: 20, at: 5 };
    expect(createHeapReader({ memory }, true)(5)).toEqual(engine);
    expect(createHeapReader({ memory, measureUserAgentSpecificMemory }, false)(5)).toEqual(engine);
    expect(createHeapReader({}, true)(5)).toBeUndefined();
  });

  test('the whole page is measured now and then where it may be, and the newest reading stays', async () => {
    const measure = vi.fn(measureUserAgentSpecificMemory);
    const read = createHeapReader({ memory, measureUserAgentSpecificMemory: measure }, true);
    const minute = 60_000;
    const seen = new Set<number | undefined>();
    for (let at = 0; at < 600 * minute; at += minute) {
      const reading = read(at);
      if (reading) expect(reading).toMatchObject({ source: 'agent', bytes: 1 });
      seen.add(reading?.at);
      await Promise.resolve();
    }
    expect(seen).toContain(undefined);
    expect(measure.mock.calls.length).toBeGreaterThan(50);
    expect(measure.mock.calls.length).toBeLessThan(200);
    expect(seen.size).toBeGreaterThanOrEqual(measure.mock.calls.length);
  });

  test('a measurement that the browser refuses is none, and is tried again', async () => {
    const refuse = vi.fn(() => Promise.reject(new DOMException('navigating', 'SecurityError')));
    const read = createHeapReader({ measureUserAgentSpecificMemory: refuse }, true);
    for (let hour = 0; hour < 10; hour++) {
      expect(read(hour * 3_600_000)).toBeUndefined();
      await Promise.resolve();
    }
    expect(refuse.mock.calls.length).toBeGreaterThan(1);
  });
});

describe('registry', () => {
  test('names beyond the bound share one record', () => {
    const { component, takeSnapshot } = createMemoryMonitor();
    for (let i = 0; i < maxComponents + 50; i++) component('C' + i).mounts++;
    expect(Object.keys(takeSnapshot('').stats.components)).toHaveLength(maxComponents + 1);
    expect(component('(other)').mounts).toBe(50);
    expect(component('C0').mounts).toBe(1);
  });

  test('a component may have any name', () => {
    const { component, takeSnapshot } = createMemoryMonitor();
    const before = takeSnapshot('').stats;
    const names = ['__proto__', 'constructor', 'longestMs'];
    for (const name of names) component(name).commits = 2;
    const middle = takeSnapshot('').stats;
    for (const name of names) component(name).commits = 5;
    const after = takeSnapshot('').stats;
    const commits = (was: typeof after) => changesOf(since(after, was)).map((record) => [record.name, record.commits]);
    expect(commits(before)).toEqual(names.map((name) => [name, 5]));
    expect(commits(middle)).toEqual(names.map((name) => [name, 3]));
  });

  test('changes are of those of which something changed, since an earlier reading or the beginning, what grew first', () => {
    const record = (name: string, live: number, totalMs = 0): ComponentRecord => ({ name, commits: 9, mounts: 9, unmounts: 8, live, timed: 9, totalMs, longestMs: 7 });
    const before = { A: record('A', 3), B: record('B', 5), Same: record('Same', 1), Gone: record('Gone', 0) };
    const now = { A: record('A', 1), B: { ...record('B', 5, 20), timed: 10 }, Same: record('Same', 1), New: record('New', 2), Gone: { ...record('Gone', 0), unmounts: 9 } };
    const none = { commits: 0, mounts: 0, unmounts: 0, live: 0, timed: 0, totalMs: 0, longestMs: 7 };
    expect(changesOf(since({ components: now }, { components: before as typeof now }))).toEqual([
      now.New,
      { ...none, name: 'B', timed: 1, totalMs: 20 },
      { ...none, name: 'Gone', unmounts: 1 }, // it was hidden before
      { ...none, name: 'A', live: -2 },
    ]);
  });
});

describe('blocking tasks', () => {
  afterEach(() => void vi.unstubAllGlobals());

  /** What the browser tells of entries of one kind, and what becomes of that. */
  const sumOf = (type: Parameters<typeof observe>[0], entries: object[]) => {
    const calls: unknown[] = [];
    vi.stubGlobal(
      'PerformanceObserver',
      class {
        static supportedEntryTypes = ['longtask', 'long-animation-frame'];
        constructor(private readonly tell: (list: object) => void) {}
        observe(what: object) {
          calls.push(what);
          if (calls.length === 1) this.tell({ getEntries: () => entries });
        }
        disconnect() {
          calls.push('disconnect');
        }
      },
    );
    const record = { count: 0, totalMs: 0, longestMs: 0 };
    observe(type, record)();
    expect(calls).toEqual([{ type, buffered: true }, 'disconnect']);
    observe(type, record)();
    expect(calls.slice(2), 'what was counted is not asked for again').toEqual([{ type, buffered: false }, 'disconnect']);
    return record;
  };

  test('add up', () => {
    const sum = { count: 3, totalMs: 340, longestMs: 200 };
    expect(sumOf('longtask', [60, 200, 80].map((duration) => ({ duration })))).toEqual(sum);
    expect(sumOf('long-animation-frame', [60, 200, 80].map((blockingDuration) => ({ duration: 999, blockingDuration })))).toEqual(sum);
  });

  test('what has changed since a reading is told, and the longest of all', () => {
    const [was, now] = [[60], [60, 200, 80]].map((all) => sumOf('longtask', all.map((duration) => ({ duration }))));
    expect(since(now!, was)).toEqual({ count: 2, totalMs: 280, longestMs: 200 });
    expect(since(now!, undefined)).toEqual(now);
  });

  test('are not asked for where the browser does not know them', () => {
    const ask = vi.fn();
    vi.stubGlobal('PerformanceObserver', class {
      static supportedEntryTypes = [];
      observe = ask;
    });
    observe('longtask', { count: 0, totalMs: 0, longestMs: 0 });
    expect(ask).not.toHaveBeenCalled();
  });
});

describe('growth', () => {
  const of = (at: (i: number) => number, n = 200) => {
    let series: number[] = [];
    let most = 0;
    for (let i = 0; i < n; i++) {
      series = [...series, at(i)].slice(-trendLength);
      most = Math.max(most, growth(series));
    }
    return most;
  };

  test('a steady rise grows, also under a sawtooth', () => {
    expect(of((i) => i * 10)).toBeGreaterThan(40);
    expect(of((i) => i * 10 + (i % 4) * 5)).toBeGreaterThan(30);
  });

  test('a level, a sawtooth and a single step that fell back do not', () => {
    expect(of(() => 100)).toBe(0);
    expect(of((i) => (i % 4) * 100)).toBeLessThanOrEqual(0);
    expect(of((i) => (i === 60 ? 1000 : 10))).toBe(0);
  });

  test('a series that is not full says nothing', () => {
    expect(growth([1, 100, 1000])).toBe(0);
  });
});
