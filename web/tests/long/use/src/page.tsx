/* A page as people use it, not all of it well made; with a monitor, and without one as its twin. */
import { useEffect, useMemo, useState, type ReactElement } from 'react';
import { createPortal, flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor, type MemoryMonitor, type MemoryStats, type SelfStats } from '@memwarden/client';
import { MemoryMonitorProvider, useMemoryStats, usePerformanceTracking } from '@memwarden/react';
import { leakWatchOf, useLeakTracking, watchLeaks } from '@memwarden/react/leaks';

declare global {
  interface Window {
    use: {
      /** The user does so many things, the same in each page at the same place. */
      act(times: number): Promise<void>;
      /** How often something was left behind. */
      leaked(): number;
      /** What the monitor has taken of the page's time; undefined in the twin. */
      self(): SelfStats | undefined;
      /** What the monitor holds that can be asked for; undefined in the twin. */
      held(): { stats: MemoryStats; snapshots: number; leaks: string[]; names: number } | undefined;
    };
  }
}

const { watched = false } = window.options;
const monitor: MemoryMonitor | undefined = watched
  ? createMemoryMonitor({
      endpoint: '/api/monitoring/frontend/reports',
      // As by default, the budget too; but the service hears of it each time, so that there is much to send.
      reportIntervalMs: 5_000,
      thresholds: { many_commits: 1, growing_instances: 1, growing_cache: 1, growing_heap: 0.01 },
    })
  : undefined;
if (monitor) watchLeaks(monitor);

/** The same numbers in each page. */
function random(): number {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
let seed = 7;
const below = (n: number) => Math.floor(random() * n);

/** A cache with a bound, and one that has none. */
const queries = new Map<number, { text: string }>();
const forgotten = new Map<number, { text: string }>();
monitor?.addCache('queries', () => ({ entries: queries.size, inactive: queries.size >> 1 }));
monitor?.addCache('forgotten', () => ({ entries: forgotten.size, neverCollected: forgotten.size }));

let leaked = 0;

/** Leaves a listener behind each time. */
function Detail({ id }: { id: number }) {
  usePerformanceTracking('Detail');
  const [width, setWidth] = useState(0);
  useEffect(() => {
    leaked++;
    addEventListener('resize', () => setWidth(innerWidth));
  }, []);
  return (
    <article>
      {id}: {width}
    </article>
  );
}

function Row({ id }: { id: number }) {
  usePerformanceTracking('Row');
  return <li>{id}</li>;
}

function List({ ids }: { ids: readonly number[] }) {
  usePerformanceTracking('List');
  return (
    <ul>
      {ids.map((id) => (
        <Row key={id} id={id} />
      ))}
    </ul>
  );
}

/** Has another name for each customer: more of them than anyone tells apart. */
function Customer({ id }: { id: number }) {
  usePerformanceTracking(`Customer ${id}`);
  const tracked = useMemo(() => ({ id }), [id]);
  useLeakTracking(tracked, `customer ${id}`);
  return <p>{id}</p>;
}

function Dialog() {
  usePerformanceTracking('Dialog');
  return createPortal(<form>dialog</form>, document.body);
}

function Figures() {
  const stats = useMemoryStats();
  return <small>{Object.keys(stats?.components ?? {}).length} names</small>;
}

interface State {
  readonly route: 'list' | 'detail' | 'customer';
  readonly id: number;
  readonly ids: readonly number[];
  readonly dialog: boolean;
}

let state: State = { route: 'list', id: 0, ids: [], dialog: false };
let setState: (state: State) => void;

function Page() {
  const [{ route, id, ids, dialog }, set] = useState(state);
  useEffect(() => {
    setState = set;
  }, []);
  return (
    <main>
      {route === 'list' && <List ids={ids} />}
      {route === 'detail' && <Detail key={id} id={id} />}
      {route === 'customer' && <Customer key={id} id={id} />}
      {dialog && <Dialog />}
      <Figures />
    </main>
  );
}

const show = (change: Partial<State>) => {
  state = { ...state, ...change };
  flushSync(() => setState(state));
};

/** One thing that a user does, or that happens to him. */
function actOnce(n: number): void {
  const dice = random();
  if (dice < 0.4) show({ route: 'list', ids: Array.from({ length: 20 + below(100) }, (_, i) => i + below(3)).sort((a, b) => a - b).filter((id, i, all) => id !== all[i - 1]) });
  else if (dice < 0.45) show({ route: 'detail', id: n });
  else if (dice < 0.6) show({ route: 'customer', id: below(2_000) });
  else if (dice < 0.75) show({ dialog: !state.dialog });
  else if (dice < 0.9) {
    queries.set(n, { text: `answer ${n}` });
    if (queries.size > 500) queries.delete(queries.keys().next().value!);
    if (n % 10 === 0) forgotten.set(n, { text: `answer ${n}` });
  } else if (dice < 0.91) {
    for (const until = performance.now() + 60; performance.now() < until; ); // a long task
  } else if (dice < 0.95) {
    monitor?.report('note', { text: `something happened at ${n}` });
  } else if (monitor) monitor.takeSnapshot(`after ${n}`);
}

const page: ReactElement = monitor ? (
  <MemoryMonitorProvider monitor={monitor}>
    <Page />
  </MemoryMonitorProvider>
) : (
  <Page />
);
flushSync(() => createRoot(document.getElementById('root')!).render(page));

let n = 0;
window.use = {
  async act(times) {
    for (let i = 0; i < times; i++) {
      actOnce(n++);
      if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve));
    }
  },
  leaked: () => leaked,
  self: () => monitor?.stats().self,
  held() {
    if (!monitor) return undefined;
    const watch = leakWatchOf(monitor)!;
    return {
      stats: monitor.stats(),
      snapshots: monitor.snapshots().length,
      leaks: watch.leaks().map(({ kind, name }) => `${kind} ${name}`),
      names: watch.released().length,
    };
  },
};
