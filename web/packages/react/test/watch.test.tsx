import { act, memo, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, withPerformanceTracking } from '../src';
import { keepHolders, leakWatchOf, useLeakTracking, watchLeaks, type LeakWatch } from '../src/leaks';
import { collect } from './collect';

let container: HTMLElement;
let root: Root;
let monitor: MemoryMonitor;
let watch: LeakWatch;
let end: () => void;

beforeEach(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  container = document.body.appendChild(document.createElement('div'));
  root = createRoot(container);
  monitor = createMemoryMonitor();
  watch = watchLeaks(monitor, { minAgeMs: 0, sweepMs: 50 });
  end = monitor.start();
});

afterEach(() => {
  act(() => root.unmount());
  container.remove();
  end();
});

const show = (node: ReactNode) => act(async () => root.render(node));
const named = (name: string) => watch.released().filter((one) => one.name === name && one.kind === 'component');

const elements = (name: string) => watch.released().filter((one) => one.name === name && one.kind === 'dom');
/** Until what was released so far has had its commits and its collections. */
const ripen = async () => {
  for (let i = 0; i < 6; i++) {
    const mark = document.body.appendChild(document.createElement('i'));
    await Promise.resolve();
    mark.remove();
    await collect();
    watch.sweep();
  }
};

const Row = () => <i>row</i>;
const Other = ({ children }: { children: ReactNode }) => <p>{children}</p>;
const List = ({ children }: { children: ReactNode }) => <div>{children}</div>;

test('owners are those of the first component of a name that has some', async () => {
  await show(<Row />);
  watch.sweep();
  expect(named('Row')).toMatchObject([{ owners: [] }]);
  await show(
    <List>
      <List>
        <Row />
      </List>
    </List>,
  );
  await show(
    <Other>
      <Row />
    </Other>,
  );
  watch.sweep();
  expect(named('Row')).toMatchObject([{ owners: ['List', 'List'] }]);
  expect(named('Other')).toMatchObject([{ owners: [] }]);
});

test('a component is counted once, whatever is around it', async () => {
  const Tracked = withPerformanceTracking(Row);
  const Rare = memo(Row, () => false);
  for (let i = 0; i < 5; i++) {
    await show(<Tracked />);
    watch.sweep();
    await show(<Rare />);
    watch.sweep();
    await show(null);
    watch.sweep();
  }
  await ripen();
  expect(named('Row')).toMatchObject([{ released: 10, owners: ['Tracked(Row)'] }]);
  expect(named('Tracked(Row)')).toMatchObject([{ released: 5 }]);
});

test('an element that is moved, or removed and back, was not released', async () => {
  await show(
    <ul>
      <li id="a" />
      <li id="b" />
    </ul>,
  );
  const list = container.querySelector('ul')!;
  list.append(container.querySelector('#a')!);
  await Promise.resolve();
  list.remove();
  await Promise.resolve();
  container.append(list);
  await Promise.resolve();
  watch.sweep();
  expect(watch.released().filter(({ kind, released }) => kind === 'dom' && released)).toEqual([]);
});

test('many elements that are removed one by one are looked at in slices', async () => {
  const page = document.body.appendChild(document.createElement('div'));
  let looks = 0;
  class Item extends HTMLElement {
    // Whether it is out is asked once for each look at it.
    override get isConnected() {
      looks++;
      return super.isConnected;
    }
  }
  customElements.define('test-item', Item);
  page.append(...Array.from({ length: 1_000 }, () => document.createElement('test-item')));
  await Promise.resolve();
  watch.sweep();
  looks = 0;
  const items = [...page.children];
  for (const item of items) item.remove();
  await Promise.resolve();
  expect(looks).toBeGreaterThan(0);
  expect(looks).toBeLessThanOrEqual(200);
  await ripen();
  expect(elements('<test-item>')).toMatchObject([{ released: items.length, survivors: items.length }]);
  page.remove();
});

test('an element that was moved while many waited is found when it is removed later', async () => {
  const page = document.body.appendChild(document.createElement('div'));
  const moved = page.appendChild(document.createElement('canvas'));
  await Promise.resolve();
  // Each waits below more than are looked at in one go.
  const crowd = () => page.append(...Array.from({ length: 400 }, () => document.createElement('hr')));
  page.prepend(moved);
  crowd();
  await Promise.resolve();
  page.append(moved);
  crowd();
  await Promise.resolve();
  await ripen();
  expect(elements('<canvas>')).toEqual([]);
  page.prepend(moved);
  crowd();
  await Promise.resolve();
  moved.remove();
  crowd();
  await Promise.resolve();
  await ripen();
  expect(elements('<canvas>')).toMatchObject([{ released: 1, survivors: 1 }]);
  expect(moved.isConnected).toBe(false);
  page.remove();
});

test('what was put into an element of a component and taken out at once belongs to the component', async () => {
  await show(<Other>text</Other>);
  watch.sweep();
  const canvas = document.createElement('canvas');
  container.querySelector('p')!.append(canvas);
  canvas.remove();
  await ripen();
  expect(elements('Other')).toMatchObject([{ released: 1, survivors: 1 }]);
  expect(canvas.isConnected).toBe(false);
});

test('what is tracked is not kept alive, whether its end is told or not, while the monitor watches and afterwards', async () => {
  const ends: (() => void)[] = [];
  /** A function of its own, which leaves nothing behind. */
  const track = () =>
    [0, 1].map((kept) => {
      const object = { kept };
      const ended = watch.track(object, 'thing');
      if (kept) ends.push(ended);
      return new WeakRef(object);
    });
  const living = async (all: WeakRef<object>[]) => {
    await collect();
    return all.filter((one) => one.deref()).length;
  };
  expect(await living(track())).toBe(0);
  end();
  expect(await living(track())).toBe(0);
  ends.forEach((ended) => ended());
});

test('what is no object, as a reference that is not filled yet, is not tracked, and does no harm', async () => {
  const Early = ({ map }: { map: object }) => {
    useLeakTracking(map, 'map');
    return <b>early</b>;
  };
  for (const nothing of [null, undefined, 'text', 0]) {
    await show(
      <MemoryMonitorProvider monitor={monitor}>
        <Early map={nothing as never} />
      </MemoryMonitorProvider>,
    );
    expect(container.textContent).toBe('early');
    watch.track(nothing as never, 'map')();
  }
  await ripen();
  expect(watch.released().filter(({ kind }) => kind === 'object')).toEqual([]);
});

test('where much is removed at once it is looked up once where it was', async () => {
  const page = document.body.appendChild(document.createElement('div'));
  page.innerHTML = '<div>'.repeat(15);
  const log = page.querySelector('div:empty')!;
  log.append(...Array.from({ length: 1_000 }, (_, i) => `line ${i}`));
  await Promise.resolve();
  const looks = vi.spyOn(Object, 'keys');
  try {
    log.replaceChildren();
    await Promise.resolve();
    expect(looks.mock.calls.length).toBeLessThan(100);
  } finally {
    looks.mockRestore();
    page.remove();
  }
});

test('the end of a watch leaves the newer one of its monitor', () => {
  const newer = watchLeaks(monitor);
  watch.stop();
  expect(leakWatchOf(monitor)).toBe(newer);
  newer.stop();
  expect(leakWatchOf(monitor)).toBeUndefined();
});

test('what is tracked is on the budget of the monitor', () => {
  const run = vi.fn((task: () => void) => task());
  const { stop, track } = watchLeaks({ ...monitor, run, addPart: (start) => start() });
  try {
    run.mockClear();
    track({}, 'thing');
    expect(run).toHaveBeenCalledTimes(1);
  } finally {
    stop();
  }
});

test('the bookkeeping of holders is on the budget of the monitor, and ends with it', async () => {
  const { addEventListener } = EventTarget.prototype;
  for (const options of [{}, { holders: keepHolders() }]) {
    const busy = createMemoryMonitor({ intervalMs: 100, budget: 0.3 });
    const { stop } = watchLeaks(busy, options);
    const endOfBusy = busy.start();
    let looks = 0;
    busy.subscribe(() => looks++);
    await vi.waitFor(
      () => {
        // A target for each: one looks through all of its own for each that is added.
        for (let i = 0; i < 4_000; i++) new EventTarget().addEventListener('busy', () => undefined);
        expect(busy.stats().self.off || looks > 5).toBe(true);
      },
      { timeout: 20_000, interval: 10 },
    );
    expect(busy.stats().self.off).toBe('holders' in options);
    expect(EventTarget.prototype.addEventListener).toBe(addEventListener);
    endOfBusy();
    stop();
  }
}, 30_000);

test('texts and comments that come and go are no matter', async () => {
  await show(<Other>text</Other>);
  for (let i = 0; i < 5; i++) {
    const nodes = [document.createTextNode('text'), document.createComment('comment')];
    container.querySelector('p')!.append(...nodes);
    await Promise.resolve();
    nodes.forEach((node) => node.remove());
    await Promise.resolve();
    watch.sweep();
  }
  await ripen();
  expect(watch.released().filter(({ name, released }) => released && name !== '<i>')).toEqual([]);
});

test('a slice of work that fails is not the last', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval'] });
  try {
    const run = vi.fn();
    const { stop } = watchLeaks({ ...monitor, run, addPart: (start) => start() }, { sweepMs: 50 });
    run.mockImplementationOnce(() => {
      throw new Error('once');
    });
    expect(() => vi.advanceTimersByTime(10)).toThrow('once');
    run.mockClear();
    vi.advanceTimersByTime(200);
    expect(run).toHaveBeenCalled();
    stop();
  } finally {
    vi.useRealTimers();
  }
});
