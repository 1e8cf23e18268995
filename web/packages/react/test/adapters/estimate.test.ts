import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { estimateBytes } from '../../src/adapters/cache';

const itself = <T>(value: T) => value;
const sizeOf = (...values: unknown[]) => estimateBytes(values, itself);

// Time stands still unless a test moves it.
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('what values take', () => {
  /** What the list of entries itself takes, with one or a few of them. */
  const little = 200;

  test('strings, by their length', () => {
    expect(sizeOf('x'.repeat(1000))).toBeGreaterThanOrEqual(1000);
    expect(sizeOf({ text: 'x'.repeat(1000) }) - sizeOf({ text: '' })).toBe(1000);
  });

  test('buffers, once for all views of them', () => {
    const buffer = new ArrayBuffer(5000);
    for (const held of [buffer, new Uint8Array(buffer), { a: new Uint8Array(buffer), b: new DataView(buffer), c: buffer }]) {
      expect(sizeOf(held)).toBeGreaterThanOrEqual(5000);
      expect(sizeOf(held)).toBeLessThan(5000 + little);
    }
  });

  test('blobs, maps and sets', () => {
    expect(sizeOf(new Blob(['x'.repeat(700)])) - sizeOf(new Blob([]))).toBe(700);
    const values = Array.from({ length: 100 }, (_, i) => 'x'.repeat(1000) + i);
    for (const held of [values, new Set(values), new Map(values.map((value, i) => [i, value]))]) {
      expect(sizeOf(held)).toBeGreaterThan(100_000);
      expect(sizeOf(held)).toBeLessThan(115_000);
    }
  });

  test('what is in a circle, and what is shared, once', () => {
    const circle: { self?: object; text: string } = { text: 'x'.repeat(1000) };
    circle.self = circle;
    expect(sizeOf(circle)).toBeLessThan(1100);
    expect(sizeOf({ a: circle, b: circle })).toBeLessThan(1200);
  });

  test('nothing for what is no data', () => {
    expect(sizeOf(undefined, null, 1, true, Symbol('a'), () => 'x')).toBeLessThan(little);
    expect(sizeOf()).toBe(0);
  });

  test('getters of the page do not run', () => {
    let ran = 0;
    const lazy = {
      get value() {
        ran++;
        throw new Error('it ran');
      },
    };
    expect(sizeOf(lazy)).toBeGreaterThan(0);
    expect(ran).toBe(0);
  });
});

describe('bounds', () => {
  test('of entries few are read, and they stand for the others', () => {
    let read = 0;
    const bytes = estimateBytes(
      Array.from({ length: 1_000_000 }, (_, i) => i),
      () => {
        read++;
        return 'x'.repeat(984);
      },
    );
    expect(read).toBeLessThanOrEqual(20);
    expect(bytes).toBe(1_008_000_024);
  });

  test('a value that never ends is left', () => {
    let made = 0;
    const target = { a: 0, b: 0, c: 0 };
    const endless = (): object => {
      made++;
      return new Proxy(target, handler);
    };
    // Object.keys asks of each part whether it is enumerable, and the estimate for its value.
    const handler = { getOwnPropertyDescriptor: () => ({ value: endless(), enumerable: true, configurable: true }) };
    expect(sizeOf(endless())).toBeGreaterThan(1_000);
    expect(made).toBeGreaterThan(1_000);
    expect(made).toBeLessThan(300_000);
  });

  test('a chain of a million links is neither followed to its end nor too deep', () => {
    let chain: object = {};
    for (let i = 0; i < 1_000_000; i++) chain = { next: chain };
    expect(sizeOf(chain)).toBeGreaterThan(200);
    expect(sizeOf(chain)).toBeLessThan(10_000);
  });

  test('after two milliseconds what was looked at must do', () => {
    let read = 0;
    const bytes = estimateBytes(
      Array.from({ length: 100 }, (_, i) => i),
      () => {
        read++;
        vi.advanceTimersByTime(0.9);
        return 'x'.repeat(984);
      },
    );
    expect(read).toBe(3);
    expect(bytes).toBe(100_824);
  });

  test('an entry that time did not suffice for does not stand for others', () => {
    let read = 0;
    // As a query's: one part of it has all that is large.
    const entry = () => ({ data: 'x'.repeat(984), a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, j: 10, k: 11 });
    const bytes = estimateBytes(Array.from({ length: 100 }), () => {
      read++;
      vi.advanceTimersByTime(0.9);
      return entry();
    });
    expect(read).toBe(3);
    expect(bytes).toBe(24 + 8 * 100 + 100 * (24 + 8 * 12 + 1_000));
  });
});

/** A generator of numbers from 0 to 1, the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The same estimate without bounds: it looks at all there is. */
function full(value: unknown): number {
  if (typeof value === 'string') return 16 + value.length;
  if (typeof value !== 'object' || !value) return 0;
  const parts = Object.values(value);
  return parts.reduce<number>((sum, part) => sum + full(part), 24 + 8 * parts.length);
}

describe('answers of services, of which only some is looked at', () => {
  test.each([1, 2, 3, 4, 5, 6])('seed %i: within a third of what all of it takes', (seed) => {
    const random = seeded(seed);
    const below = (most: number) => Math.floor(random() * most);
    const text = (most: number) => 'x'.repeat(below(most));
    const row = () => ({ id: below(1e6), name: text(40), tags: Array.from({ length: below(6) }, () => text(12)), at: { lat: random(), lng: random() } });
    const answers = Array.from({ length: 60 }, () => ({ total: 5000, rows: Array.from({ length: below(150) }, row), next: text(60) }));
    const all = answers.reduce((sum, answer) => sum + full(answer), 0);
    const estimate = estimateBytes(answers, itself);
    expect(estimate / all).toBeGreaterThan(0.67);
    expect(estimate / all).toBeLessThan(1.5);
  });
});
