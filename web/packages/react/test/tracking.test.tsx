import { act, Component, lazy, memo, StrictMode, Suspense, startTransition, useEffect, useState, version, type ReactNode, createRef } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, TimedRegion, useCacheStats, useMemoryStats, usePerformanceTracking, withPerformanceTracking } from '../src';

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
  test('counts commits, mounts and live instances', () => {
    show([<Counter key="a" />, <Counter key="b" />]);
    expect(figures('Counter')).toMatchObject({ commits: 2, mounts: 2, live: 2 });
    show([<Counter key="a" n={1} />]);
    expect(figures('Counter')).toMatchObject({ commits: 3, mounts: 2, live: 1 });
    show(null);
    expect(figures('Counter')).toMatchObject({ commits: 3, mounts: 2, live: 0 });
  });

  test('counts the same in StrictMode', () => {
    show(
      <StrictMode>
        <Counter />
      </StrictMode>,
    );
    expect(figures('Counter')).toMatchObject({ commits: 1, mounts: 1, live: 1 });
    show(
      <StrictMode>
        <Counter n={1} />
      </StrictMode>,
    );
    expect(figures('Counter')).toMatchObject({ commits: 2, mounts: 1, live: 1 });
    show(null);
    expect(figures('Counter')).toMatchObject({ live: 0 });
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
    await act(async () => resolve({ default: () => null }));
    expect(figures('Counter')).toMatchObject({ mounts: 1, live: 1 });
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
    expect(figures('Counter')).toMatchObject({ commits: 1, mounts: 1, live: 0 });
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
});

test('TimedRegion has React time commits', () => {
  show(
    <TimedRegion name="Region">
      <Counter />
    </TimedRegion>,
  );
  expect(figures('Region')).toMatchObject({ timed: 1, commits: 0 });
  expect(figures('Region')!.totalMs).toBeGreaterThanOrEqual(0);
});
