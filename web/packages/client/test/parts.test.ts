// @vitest-environment node
import { describe, expect, test } from 'vitest';
import { createBudget } from '../src/budget';
import { agentPause, heapSource, readEngine, type MemoryPerformance } from '../src/heap';
import { addTiming, createInstance, createRegistry, maxComponents, since } from '../src/registry';
import { addBlocking, nothingBlocked } from '../src/tasks';
import { createThrottle, extend, growth, trendLength } from '../src/warnings';

describe('heap', () => {
  const engine = { memory: { usedJSHeapSize: 10, jsHeapSizeLimit: 20 } } as unknown as MemoryPerformance;
  const agent = { ...engine, measureUserAgentSpecificMemory: () => Promise.resolve({ bytes: 1 }) } as unknown as MemoryPerformance;

  test('the best source that the page has is chosen', () => {
    expect(heapSource(agent, true)).toBe('agent');
    expect(heapSource(agent, false)).toBe('engine');
    expect(heapSource(engine, true)).toBe('engine');
    expect(heapSource({} as MemoryPerformance, true)).toBeUndefined();
  });

  test('a reading says where it comes from', () => {
    expect(readEngine(engine, 5)).toEqual({ source: 'engine', bytes: 10, limitBytes: 20, at: 5 });
    expect(readEngine({} as MemoryPerformance, 5)).toBeUndefined();
  });

  test('pauses have a mean of five minutes', () => {
    const n = 10_000;
    let sum = 0;
    for (let i = 0; i < n; i++) sum += agentPause((i + 0.5) / n);
    expect(sum / n / 60_000).toBeCloseTo(5, 1);
  });
});

describe('registry', () => {
  test('one render counts once, and an instance that comes back is the same', () => {
    const record = createRegistry().record('A');
    const instance = createInstance(record);
    const first = {};
    instance.commit(first)(); // StrictMode: effect, cleanup, effect
    let release = instance.commit(first);
    expect(record).toMatchObject({ commits: 1, mounts: 1, live: 1 });
    release(); // an update: cleanup of the last render, effect of the next
    release = instance.commit({});
    expect(record).toMatchObject({ commits: 2, mounts: 1, live: 1 });
    release();
    expect(record).toMatchObject({ commits: 2, mounts: 1, live: 0 });
  });

  test('names beyond the bound share one record', () => {
    const registry = createRegistry();
    for (let i = 0; i < maxComponents + 50; i++) registry.record('C' + i).mounts++;
    const records = [...registry.records()];
    expect(records).toHaveLength(maxComponents + 1);
    expect(registry.record('(other)').mounts).toBe(50);
    expect(registry.record('C0').mounts).toBe(1);
  });

  test('timings add up', () => {
    const record = createRegistry().record('A');
    addTiming(record, 4);
    addTiming(record, 2);
    expect(record).toMatchObject({ timed: 2, totalMs: 6, longestMs: 4 });
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
      series = extend(series, at(i));
      most = Math.max(most, growth(series));
    }
    expect(series.length).toBeLessThanOrEqual(trendLength);
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

test('a warning comes again after the pause', () => {
  const may = createThrottle(100);
  expect([may('slow_commit', 'A', 0), may('slow_commit', 'A', 99), may('slow_commit', 'B', 99), may('slow_commit', 'A', 100)]).toEqual([
    true,
    false,
    true,
    true,
  ]);
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
