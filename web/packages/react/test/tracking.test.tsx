import * as React from 'react';
import { act, Component, lazy, memo, StrictMode, Suspense, startTransition, useEffect, useState, version, type ReactNode, createRef } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, TimedRegion, useCacheStats, useMemoryStats, usePerformanceTracking, withPerformanceTracking, type TrackingOptions } from '../src';

let container: HTMLElement;
let root: Root;
let monitor: MemoryMonitor;

beforeEach(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  container = document.createElement('div');
  root = createRoot(container);
  monitor = createMemoryMonitor({ intervalMs: 100 });
  vi.spyOn(console, 'error');
});

afterEach(() => {
  act(() => root.unmount());
  const { calls } = vi.mocked(console.error).mock;
  vi.restoreAllMocks();
  vi.useRealTimers();
  expect(calls).toEqual([]);
});

const show = (node: ReactNode) => act(() => root.render(<MemoryMonitorProvider monitor={monitor}>{node}</MemoryMonitorProvider>));
const figures = (name: string) => monitor.takeSnapshot('').stats.components[name];

function Counter({ n = 0 }: { n?: number }) {
  usePerformanceTracking('Counter');
  return <p>{n}</p>;
}

test('the tests run with the React that they say', () => {
  expect(version.split('.')[0]).toBe(process.env.REACT);
});

describe('usePerformanceTracking', () => {
  test('counts commits, mounts, unmounts and live instances', () => {
    show([<Counter key="a" />, <Counter key="b" />]);
    expect(figures('Counter')).toMatchObject({ commits: 2, mounts: 2, unmounts: 0, live: 2 });
    show([<Counter key="a" n={1} />]);
    expect(figures('Counter')).toMatchObject({ commits: 3, mounts: 2, unmounts: 1, live: 1 });
    show(null);
    expect(figures('Counter')).toMatchObject({ commits: 3, mounts: 2, unmounts: 2, live: 0 });
  });

  test('counts the same in StrictMode', () => {
    show(
      <StrictMode>
        <Counter />
      </StrictMode>,
    );
    expect(figures('Counter')).toMatchObject({ commits: 1, mounts: 1, unmounts: 0, live: 1 });
    show(
      <StrictMode>
        <Counter n={1} />
      </StrictMode>,
    );
    expect(figures('Counter')).toMatchObject({ commits: 2, mounts: 1, unmounts: 0, live: 1 });
    show(null);
    expect(figures('Counter')).toMatchObject({ unmounts: 1, live: 0 });
  });

  test('does not count what a memo keeps from rendering', () => {
    const Kept = memo(Counter);
    show(<Kept n={1} />);
    show(<Kept n={1} />);
    expect(figures('Counter')).toMatchObject({ commits: 1 });
  });

  test('does not count what is rendered and thrown away', async () => {
    let resolve: (module: { default: () => null }) => void;
    const Late = lazy(() => new Promise<{ default: () => null }>((done) => (resolve = done)));
    show(
      <Suspense fallback={null}>
        <Counter />
        <Late />
      </Suspense>,
    );
    expect(figures('Counter')?.commits ?? 0).toBe(0);
    await act(async () => resolve({ default: () => null }));
    expect(figures('Counter')).toMatchObject({ commits: 1, mounts: 1, live: 1 });
  });

  test('an instance that is hidden while its neighbour waits is the same when it is back', async () => {
    let resolve: (module: { default: () => null }) => void;
    const Late = lazy(() => new Promise<{ default: () => null }>((done) => (resolve = done)));
    const page = (late: boolean) => (
      <Suspense fallback="soon">
        <Counter />
        {late && <Late />}
      </Suspense>
    );
    show(page(false));
    show(page(true));
    expect(container.textContent).toContain('soon');
    expect(figures('Counter')).toMatchObject({ mounts: 1, unmounts: 0 });
    await act(async () => resolve({ default: () => null }));
    expect(figures('Counter')).toMatchObject({ mounts: 1, unmounts: 0, live: 1 });
  });

  test('an instance that is removed while it is hidden is live no more', () => {
    const Never = lazy(() => new Promise<{ default: () => null }>(() => undefined));
    const page = (late: boolean) => (
      <Suspense fallback="soon">
        <Counter />
        {late && <Never />}
      </Suspense>
    );
    show(page(false));
    show(page(true));
    expect(container.textContent).toContain('soon');
    show(null);
    // React 18 does not run what would tell of it.
    expect(figures('Counter')).toMatchObject({ commits: 1, mounts: 1, unmounts: process.env.REACT === '18' ? 0 : 1, live: 0 });
  });

  test.skipIf(!('Activity' in React))('what an Activity hides is live no more, but not unmounted', () => {
    const { Activity } = React;
    const page = (mode: 'hidden' | 'visible') => (
      <StrictMode>
        <Activity mode={mode}>
          <Counter />
        </Activity>
      </StrictMode>
    );
    show(page('visible'));
    show(page('hidden'));
    expect(figures('Counter')).toMatchObject({ mounts: 1, unmounts: 0, live: 0 });
    show(page('visible'));
    expect(figures('Counter')).toMatchObject({ mounts: 1, unmounts: 0, live: 1 });
    show(page('hidden'));
    show(null);
    expect(figures('Counter')).toMatchObject({ mounts: 1, unmounts: 1, live: 0 });
  });

  test.skipIf(!('Activity' in React))('what was never shown was neither mounted nor unmounted', () => {
    const { Activity } = React;
    show(
      <Activity mode="hidden">
        <Counter />
      </Activity>,
    );
    show(null);
    expect(figures('Counter')).toBeUndefined();
  });

  test('counts a transition that was overtaken once', () => {
    let set: (n: number) => void;
    function Page() {
      const [n, setN] = useState(0);
      useEffect(() => {
        set = setN;
      }, []);
      return <Counter n={n} />;
    }
    show(<Page />);
    act(() => {
      startTransition(() => set(1));
      startTransition(() => set(2));
    });
    expect(container.textContent).toBe('2');
    expect(figures('Counter')).toMatchObject({ commits: 2 });
  });

  test('counts nothing without a provider, and then by the newest', () => {
    act(() => root.render(<Counter />));
    expect(container.textContent).toBe('0');
    expect(figures('Counter')).toBeUndefined();
    show(<Counter />);
    expect(figures('Counter')).toMatchObject({ commits: 1 });
  });

  test('an instance may be left out, and options may be new for each render', () => {
    function Optional({ options }: { options?: TrackingOptions }) {
      usePerformanceTracking('Optional', options);
      return null;
    }
    const page = (first: TrackingOptions | undefined, second: TrackingOptions) => [<Optional key="a" {...(first && { options: first })} />, <Optional key="b" options={second} />];
    show(page(undefined, { enabled: false }));
    expect(figures('Optional')).toMatchObject({ commits: 1, mounts: 1, live: 1 });
    show(page({}, { enabled: true }));
    expect(figures('Optional')).toMatchObject({ commits: 3, mounts: 2, live: 2 });
    show(page({ enabled: false }, { enabled: true }));
    expect(figures('Optional')).toMatchObject({ commits: 4, mounts: 2, unmounts: 0, live: 1 });
    show(page({ enabled: true }, { enabled: true }));
    expect(figures('Optional')).toMatchObject({ commits: 6, mounts: 2, unmounts: 0, live: 2 });
    show(null);
    expect(figures('Optional')).toMatchObject({ commits: 6, mounts: 2, unmounts: 2, live: 0 });
  });

  test('an instance that is always left out is not known', () => {
    const Out = withPerformanceTracking(() => null, 'Out', { enabled: false });
    show(<Out />);
    show(null);
    expect(figures('Out')).toBeUndefined();
  });

  test('counts nothing any more when the monitor has turned itself off', () => {
    vi.useFakeTimers();
    monitor = createMemoryMonitor({ intervalMs: 100, budget: 0.01 });
    const page = (n: number) => [
      <TimedRegion key="a" name="Region">
        <Counter n={n} />
      </TimedRegion>,
      <Counter key="b" n={n} />,
    ];
    show(page(0));
    const counted = figures('Counter')!;
    expect(counted).toMatchObject({ commits: 2, live: 2 });
    monitor.component('Busy');
    for (let look = 0; look < 3; look++) {
      monitor.component('Busy').commits += 10_000;
      act(() => void vi.advanceTimersByTime(100));
    }
    expect(monitor.stats().self.off).toBe(true);
    const [region, all] = [figures('Region'), monitor.stats().components];
    show(page(1));
    expect(container.textContent).toBe('11');
    show([...page(2), <Counter key="c" />]);
    expect(figures('Counter')).toEqual(counted);
    expect(figures('Region')).toEqual(region);
    show(null);
    expect(container.textContent).toBe('');
    act(() => root.unmount());
    expect(figures('Counter')).toEqual(counted);
    expect(monitor.takeSnapshot('').stats.components).toEqual(all);
  });

  test('breaks nothing on a page that is not sampled, whenever the provider comes', async () => {
    for (const first of [true, false]) {
      vi.resetModules();
      const page = await import('../src');
      const Kind = ({ n }: { n: number }) => {
        page.usePerformanceTracking('Kind');
        return <p>{n}</p>;
      };
      monitor = createMemoryMonitor({ sampleRate: 0 });
      if (!first) act(() => root.render(<Kind n={0} />));
      for (const n of [1, 2]) {
        act(() =>
          root.render(
            <page.MemoryMonitorProvider monitor={monitor}>
              <Kind n={n} />
            </page.MemoryMonitorProvider>,
          ),
        );
      }
      expect(container.textContent).toBe('2');
      if (first) expect(figures('Kind')).toBeUndefined();
    }
  });
});

describe('MemoryMonitorProvider', () => {
  test('starts the monitor and stops it', () => {
    const part = { begin: vi.fn(), end: vi.fn() };
    monitor.addPart(() => (part.begin(), part.end));
    show(<StrictMode>page</StrictMode>);
    expect(part.begin).toHaveBeenCalled();
    const running = () => part.begin.mock.calls.length - part.end.mock.calls.length;
    expect(running()).toBe(1);
    act(() => root.render(null));
    expect(running()).toBe(0);
  });

  test('makes its own monitor once', () => {
    const seen = new Set<unknown>();
    function Reader() {
      seen.add(useMemoryStats());
      return null;
    }
    const page = () => (
      <MemoryMonitorProvider options={{ sampleRate: 1 }}>
        <Reader />
      </MemoryMonitorProvider>
    );
    act(() => root.render(page()));
    act(() => root.render(page()));
    expect(seen.size).toBe(1);
    expect(seen).not.toContain(undefined);
  });

  test('renders on a server, and is hydrated without a difference', async () => {
    const page = (options: object) => (
      <MemoryMonitorProvider {...options}>
        <Counter n={5} />
      </MemoryMonitorProvider>
    );
    const document = globalThis.document;
    vi.stubGlobal('document', undefined);
    const html = renderToString(page({}));
    vi.unstubAllGlobals();
    expect(globalThis.document).toBe(document);
    expect(html).toBe('<p>5</p>');
    const served = globalThis.document.createElement('div');
    served.innerHTML = html;
    const hydrated = await act(async () => hydrateRoot(served, page({ monitor })));
    expect(figures('Counter')).toMatchObject({ commits: 1, mounts: 1, live: 1 });
    act(() => hydrated.unmount());
    expect(figures('Counter')).toMatchObject({ live: 0 });
  });
});

test('useMemoryStats and useCacheStats follow the monitor', () => {
  vi.useFakeTimers();
  let entries = 3;
  monitor.addCache('queries', () => ({ entries }));
  function Reader() {
    const stats = useMemoryStats();
    return `${stats?.components.Counter?.live} live, ${useCacheStats().queries?.entries} cached`;
  }
  show([<Counter key="a" />, <Reader key="b" />]);
  entries = 4;
  act(() => void vi.advanceTimersByTime(100));
  expect(container.textContent).toBe('01 live, 4 cached');
});

test('what shows the figures is hydrated without a difference, and then shows those of the page', async () => {
  function Reader() {
    const stats = useMemoryStats();
    return (
      <p>
        {stats ? Object.keys(stats.components).join() : 'none'}, {Object.keys(useCacheStats()).join()}
      </p>
    );
  }
  const page = (of: MemoryMonitor) => (
    <MemoryMonitorProvider monitor={of}>
      <Reader />
    </MemoryMonitorProvider>
  );
  const html = renderToString(page(createMemoryMonitor()));
  const served = document.createElement('div');
  served.innerHTML = html;
  vi.useFakeTimers();
  monitor.component('Row');
  monitor.addCache('queries', () => ({ entries: 3 }));
  const stop = monitor.start();
  vi.advanceTimersByTime(100);
  const failed = vi.fn();
  const hydrated = await act(async () => hydrateRoot(served, page(monitor), { onRecoverableError: failed }));
  expect(failed).not.toHaveBeenCalled();
  expect(served.textContent).toBe('Row, queries');
  act(() => hydrated.unmount());
  stop();
});

test('outside a provider there are no figures', () => {
  function Reader() {
    return `${useMemoryStats()} ${Object.keys(useCacheStats()).length}`;
  }
  act(() => root.render(<Reader />));
  expect(container.textContent).toBe('undefined 0');
});

describe('withPerformanceTracking', () => {
  test('counts a component of either sort under its name, and passes props and ref on', () => {
    class Panel extends Component<{ title: string }> {
      override render() {
        return <h1>{this.props.title}</h1>;
      }
    }
    const Tracked = withPerformanceTracking<{ title: string }, Panel>(Panel);
    const ref = createRef<Panel>();
    const Named = withPerformanceTracking(({ n }: { n: number }) => <i>{n}</i>, 'Named');
    show([<Tracked key="a" title="Hello" ref={ref} />, <Named key="b" n={2} />]);
    expect(container.innerHTML).toBe('<h1>Hello</h1><i>2</i>');
    expect(ref.current).toBeInstanceOf(Panel);
    expect(figures('Panel')).toMatchObject({ commits: 1, live: 1 });
    expect(figures('Named')).toMatchObject({ commits: 1, live: 1 });
  });

  test('has a name for what tells none, because the service takes no component without one', () => {
    const Tracked = withPerformanceTracking(memo(({ n }: { n: number }) => <i>{n}</i>));
    show(<Tracked n={1} />);
    expect(container.innerHTML).toBe('<i>1</i>');
    expect(figures('anonymous')).toMatchObject({ name: 'anonymous', commits: 1, live: 1 });
    expect(Object.keys(monitor.takeSnapshot('').stats.components)).toEqual(['anonymous']);
  });
});

test('TimedRegion has React time commits', () => {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  function Slow({ ms }: { ms: number }) {
    work(ms);
    return <p>{ms}</p>;
  }
  /** Takes time, as the clock tells that React reads too. */
  const work = (ms: number) => void (now += ms);
  const page = (ms: number) => (
    <TimedRegion name="Region">
      <Slow ms={ms} />
      <Counter />
    </TimedRegion>
  );
  show(page(30));
  expect(figures('Region')).toMatchObject({ commits: 0, timed: 1, totalMs: 30, longestMs: 30 });
  show(page(12));
  expect(figures('Region')).toMatchObject({ commits: 0, timed: 2, totalMs: 42, longestMs: 30 });
});

test('TimedRegion warns of one slow commit among many quick ones, and a listener that throws breaks nothing', () => {
  const reportError = vi.fn();
  vi.stubGlobal('reportError', reportError);
  const broken = new Error('of the page');
  const onWarning = vi.fn(() => {
    throw broken;
  });
  monitor = createMemoryMonitor({ onWarning });
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const pass = (ms: number) => void (now += ms);
  const Work = ({ ms }: { ms: number }) => {
    pass(ms);
    return <p>{ms}</p>;
  };
  const page = (ms: number) => (
    <TimedRegion name="Region">
      <Work ms={ms} />
    </TimedRegion>
  );
  for (let i = 0; i < 50; i++) show(page(1 + (i % 2)));
  expect(onWarning).not.toHaveBeenCalled();
  show(page(40));
  expect(onWarning.mock.calls).toEqual([[expect.objectContaining({ kind: 'slow_commit', subject: 'Region', value: 40, threshold: 16 })]]);
  expect(reportError.mock.calls).toEqual([[broken]]);
  expect(container.textContent).toBe('40');
  show(page(3));
  expect(container.textContent).toBe('3');
  vi.unstubAllGlobals();
});

test('TimedRegion warns of names beyond the bound under the one that they share', () => {
  const onWarning = vi.fn();
  monitor = createMemoryMonitor({ onWarning });
  for (let i = 0; i < 500; i++) monitor.component(`Row ${i}`);
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const Slow = () => {
    now += 20;
    return null;
  };
  for (const name of ['Late', 'Later']) {
    show(
      <TimedRegion key={name} name={name}>
        <Slow />
      </TimedRegion>,
    );
  }
  expect(onWarning.mock.calls).toEqual([[expect.objectContaining({ kind: 'slow_commit', subject: '(other)', value: 20 })]]);
  expect(figures('(other)')).toMatchObject({ timed: 2, totalMs: 40 });
});
