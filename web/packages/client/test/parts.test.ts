// @vitest-environment node
import { describe, expect, test, vi } from 'vitest';
import { createBudget } from '../src/budget';
import { createHeapReader } from '../src/heap';
import { changesOf, maxComponents, recordOf, since, type ComponentRecord } from '../src/registry';
import { addBlocking, nothingBlocked } from '../src/tasks';
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
    const records = new Map<string, ComponentRecord>();
    for (let i = 0; i < maxComponents + 50; i++) recordOf(records, 'C' + i).mounts++;
    expect(records.size).toBe(maxComponents + 1);
    expect(recordOf(records, '(other)').mounts).toBe(50);
    expect(recordOf(records, 'C0').mounts).toBe(1);
  });

  test('changes are of those of which something changed, since an earlier reading or the beginning, what grew first', () => {
    const record = (name: string, live: number, totalMs = 0): ComponentRecord => ({ name, commits: 9, mounts: 9, live, timed: 9, totalMs, longestMs: 7 });
    const before = { A: record('A', 3), B: record('B', 5), Same: record('Same', 1) };
    const now = { A: record('A', 1), B: { ...record('B', 5, 20), timed: 10 }, Same: record('Same', 1), New: record('New', 2) };
    const none = { commits: 0, mounts: 0, live: 0, timed: 0, totalMs: 0, longestMs: 7 };
    expect(changesOf(now, before)).toEqual([now.New, { ...none, name: 'B', timed: 1, totalMs: 20 }, { ...none, name: 'A', live: -2 }]);
  });
});

test('blocking tasks add up', () => {
  expect([60, 200, 80].reduce(addBlocking, nothingBlocked)).toEqual({ count: 3, totalMs: 340, longestMs: 200 });
});

test('what has changed since a reading is told, and the longest of all', () => {
  const [was, now] = [[60], [60, 200, 80]].map((all) => all.reduce(addBlocking, nothingBlocked));
  expect(since(now!, was)).toEqual({ count: 2, totalMs: 280, longestMs: 200 });
  expect(since(now!, undefined)).toEqual(now);
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

describe('budget', () => {
  const setUp = () => {
    const time = { now: 0 };
    return { time, budget: createBudget(0.01, () => time.now) };
  };

  test('three looks in a row over it turn it off', () => {
    const { time, budget } = setUp();
    const second = (ms: number) => {
      budget.run(() => (time.now += ms));
      time.now += 1000 - ms;
      return budget.look(0);
    };
    expect([50, 50, 1, 50, 50].map((ms) => second(ms).off)).toEqual([false, false, false, false, false]);
    expect(second(50)).toEqual({ ms: 251, share: 0.05, off: true });
  });

  test('commits are part of it', () => {
    const { time, budget } = setUp();
    time.now = 1000;
    expect(budget.look(100_000).share).toBeCloseTo(0.05);
  });

  test('work that fails is measured, and fails', () => {
    const { time, budget } = setUp();
    expect(() =>
      budget.run(() => {
        time.now += 7;
        throw new Error('broken');
      }),
    ).toThrow('broken');
    expect(budget.look(0).ms).toBe(7);
  });
});
