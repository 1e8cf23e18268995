// @vitest-environment node
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { lazy, Suspense, version, type ReactNode } from 'react';
import { renderToPipeableStream, renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, TimedRegion, useCacheStats, useMemoryMonitor, useMemoryStats, usePerformanceTracking, withPerformanceTracking } from '../src';
import { keepHolders, leakWatchOf, useLeakTracking, watchLeaks } from '../src/leaks';
import { MemoryOverlay } from '../src/overlay';

let monitor: MemoryMonitor;

beforeEach(() => {
  vi.spyOn(console, 'error');
  vi.spyOn(globalThis, 'fetch');
  vi.spyOn(globalThis, 'setInterval');
  monitor = createMemoryMonitor({ endpoint: '/reports', intervalMs: 100 });
});

afterEach(() => {
  // A server renders for many: nothing is watched there, nothing runs on, nothing is sent.
  expect(monitor.sampled).toBe(false);
  expect(setInterval).not.toHaveBeenCalled();
  expect(fetch).not.toHaveBeenCalled();
  const { calls } = vi.mocked(console.error).mock;
  vi.restoreAllMocks();
  expect(calls).toEqual([]);
});

function Row({ id }: { id: number }) {
  usePerformanceTracking('Row');
  useLeakTracking({ id }, 'row');
  return <li>{id}</li>;
}

function Figures() {
  const stats = useMemoryStats();
  const caches = useCacheStats();
  return (
    <p>
      {Object.keys(stats?.components ?? {}).join() || 'none'} {Object.keys(caches).join() || 'none'} {String(useMemoryMonitor() === monitor)}
    </p>
  );
}

const Counted = withPerformanceTracking(({ name }: { name: string }) => <b>{name}</b>, 'Counted');

const page = (more?: ReactNode) => (
  <MemoryMonitorProvider monitor={monitor}>
    <TimedRegion name="list">
      <Row id={1} />
      <Row id={2} />
    </TimedRegion>
    <Counted name="counted" />
    <Figures />
    <MemoryOverlay />
    {more}
  </MemoryMonitorProvider>
);
const html = '<li>1</li><li>2</li><b>counted</b><p>none<!-- --> <!-- -->none<!-- --> <!-- -->true</p>';

test('there is no document, and React is the one that the test says', () => {
  expect([typeof document, typeof window, typeof location]).toEqual(['undefined', 'undefined', 'undefined']);
  expect(version.split('.')[0]).toBe(process.env.REACT);
});

test('all of it renders into a string', () => {
  expect(renderToString(page())).toBe(html);
});

test('options out of their bounds are refused as the provider is rendered', () => {
  expect(() => renderToString(<MemoryMonitorProvider options={{ sampleRate: NaN }} />)).toThrow(RangeError);
});

test('all of it renders into a stream, with what comes late', async () => {
  const Late = lazy(async () => ({ default: () => <Row id={3} /> }));
  const stream = new PassThrough();
  const failed = vi.fn();
  renderToPipeableStream(page(<Suspense fallback={<i>soon</i>}>{<Late />}</Suspense>), { onError: failed, onShellError: failed, onAllReady() {} }).pipe(stream);
  const streamed = await text(stream);
  expect(streamed.startsWith(html)).toBe(true);
  expect(streamed).toContain('<li>3</li>');
  expect(failed).not.toHaveBeenCalled();
});

test('without a monitor of its own, and without a provider, it renders as well', () => {
  const own = (
    <MemoryMonitorProvider options={{ endpoint: '/reports' }}>
      <Row id={1} />
    </MemoryMonitorProvider>
  );
  expect(renderToString(own)).toBe('<li>1</li>');
  expect(renderToString(<Row id={2} />)).toBe('<li>2</li>');
  expect(renderToString(<Figures />)).toBe('<p>none<!-- --> <!-- -->none<!-- --> <!-- -->false</p>');
});

test('a module that watches for leaks may be loaded there, and starts nothing', () => {
  const watch = watchLeaks(monitor, { holders: keepHolders() });
  expect(leakWatchOf(monitor)).toBe(watch);
  const stop = monitor.start();
  monitor.addCache('queries', () => ({ entries: 1 }));
  expect(renderToString(page())).toContain('<b>counted</b>');
  expect(watch.leaks()).toEqual([]);
  stop();
});
