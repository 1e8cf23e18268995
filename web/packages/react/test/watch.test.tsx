import { act, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { watchLeaks, type LeakWatch } from '../src/leaks';

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
