import { createElement, version } from 'react';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createMemoryMonitor } from '@memwarden/client';
import { TimedRegion, MemoryMonitorProvider } from '../src';

// React reads it as it is loaded, which is after this.
vi.hoisted(() => void (process.env.NODE_ENV = 'production'));

interface Renderer {
  createRoot(container: Element): { render(node: unknown): void; unmount(): void };
  flushSync(task: () => void): void;
}

let now = 0;
afterEach(() => void vi.restoreAllMocks());

/** What a region is told of two commits, in a page of a renderer, the first of 30 ms and the second of 12. */
function timesWith({ createRoot, flushSync }: Renderer) {
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const monitor = createMemoryMonitor();
  const container = document.createElement('div');
  const root = createRoot(container);
  function Slow({ ms }: { ms: number }) {
    work(ms);
    return createElement('p', {}, ms);
  }
  const work = (ms: number) => void (now += ms);
  for (const ms of [30, 12]) {
    flushSync(() => root.render(createElement(MemoryMonitorProvider, { monitor }, createElement(TimedRegion, { name: 'Region' }, createElement(Slow, { ms })))));
  }
  expect(container.innerHTML).toBe('<p>12</p>');
  flushSync(() => root.unmount());
  expect(container.innerHTML).toBe('');
  return monitor.takeSnapshot('').stats.components.Region;
}

describe('in production', () => {
  test('React is the one that is said, and its production build', () => {
    expect(version.split('.')[0]).toBe(process.env.REACT);
    expect(createElement('p'), 'elements are checked in development').not.toHaveProperty('_store');
  });

  test("React's profiling build times commits", async () => {
    // @ts-expect-error -- it has no types of its own
    const renderer = (await import('react-dom/profiling')) as unknown as Renderer;
    expect(timesWith(renderer)).toMatchObject({ timed: 2, totalMs: 42, longestMs: 30 });
  });

  test('the usual build does not, and nothing breaks', async () => {
    const { createRoot } = await import('react-dom/client');
    const { flushSync } = await import('react-dom');
    expect(timesWith({ createRoot, flushSync } as Renderer)).toBeUndefined();
  });
});
