import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { act, StrictMode, useEffect, useState, type ComponentType } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as clean from '../../../tests/leaks/src/clean';
import * as leaking from '../../../tests/leaks/src/leaking';
import { expectNoLeaks, LeakError, type LeakTestOptions, type Mount } from '../src/testing';
import { failureMessage } from '../src/testing/message';
import { heapGrowth } from '../src/testing/readings';

// Collections take their time, on a machine that has much else to do.
vi.setConfig({ testTimeout: 60_000 });

const withAct = (within: boolean) => ((globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = within);

beforeEach(() => void withAct(true));

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Those that need nothing that jsdom does not have. */
const without = (kinds: Record<string, ComponentType>, ...names: string[]) =>
  Object.entries(kinds).filter(([name]) => !names.includes(name));
const leakingKinds = without(leaking, 'Observer', 'WorkerMessages');
// A signal of jsdom keeps the listeners that were added with it until it aborts, removed or not: there it is a leak.
const cleanKinds = without(clean, 'LongLivedSignal');

const failure = async (mount: Mount, options?: LeakTestOptions): Promise<LeakError> => {
  const error = await expectNoLeaks(mount, options).then(() => undefined, (error: unknown) => error);
  expect(error).toBeInstanceOf(LeakError);
  return error as LeakError;
};

/** A page of one root that shows things and takes them away, as applications are. */
function openPage(kinds: [string, ComponentType][], strict = false) {
  withAct(false);
  let show: (shown: boolean) => void;
  function App() {
    const [shown, setShown] = useState(false);
    useEffect(() => {
      show = setShown;
    }, []);
    return kinds.map(([name, Kind]) => <section key={name}>{shown && <Kind />}</section>);
  }
  const view = render(strict ? <StrictMode><App /></StrictMode> : <App />);
  const isLate = kinds.some(([name]) => name === 'Suspended');
  return {
    cycle: async () => {
      show(true);
      await waitFor(() => expect(view.container.querySelectorAll('section > *')).toHaveLength(kinds.length));
      if (isLate) await screen.findByText('late');
      return () => show(false);
    },
  };
}

const names = ({ result }: LeakError) => result.leaks.map(({ name }) => name).sort();

describe('a page with all kinds', () => {
  test.each([false, true])('all that leaks is named, and nothing else; strict: %s', async (strict) => {
    const { cycle } = openPage([...leakingKinds, ...cleanKinds], strict);
    const error = await failure(cycle, { settleMs: 500 });
    expect(names(error)).toEqual([...leakingKinds.map(([name]) => name), ...(strict ? ['<section>'] : [])].sort());
    // The run after the cycles counts too where the page has committed twice since.
    for (const { name, survivors } of error.result.leaks) expect([10, 11], name).toContain(survivors);
    expect(error.message).toMatch(/^ {2}StoredCallback: (10 of 10|11 of 11) components are still there\n {4}inside App$/m);
    expect(error.message).toMatch(/^ {2}PropsInStore: (10 of 10|11 of 11) tracked objects are still there$/m);
    for (const [name] of cleanKinds) {
      const one = error.result.released.find((each) => each.name === name && each.kind === 'component');
      expect(one?.released, name).toBeGreaterThanOrEqual(10);
    }
  });

  test('what only looks like a leak is none', async () => {
    const { leaks } = await expectNoLeaks(openPage(cleanKinds).cycle);
    expect(leaks).toEqual([]);
  });
});

describe('a scenario', () => {
  const Leak = leaking.StoredCallback;
  const Clean = clean.TrackedAndGone;
  const both = [<Leak key="leak" />, <Clean key="clean" />];
  const quick = { cycles: 5, settleMs: 0 };

  const expectLeak = async (mount: Mount) => {
    const error = await failure(mount, quick);
    expect(names(error)).toEqual(['StoredCallback']);
    for (const kind of ['component', 'object']) {
      expect(error.result.released).toContainEqual(expect.objectContaining({ kind, name: 'TrackedAndGone', survivors: 0 }));
      expect(error.result.leaks[0]!.survivors).toBeGreaterThanOrEqual(5);
    }
  };

  test('returns what render returns', () => expectLeak(() => render(both)));

  test('returns a function, and is asynchronous or not', () =>
    expectLeak(async () => {
      render(both);
      fireEvent.click(await screen.findByText('0'));
      return cleanup;
    }));

  test.each([true, false])('does without Testing Library; within act: %s', async (within) => {
    withAct(within);
    const run = within ? act : (task: () => void) => task();
    await expectLeak(() => {
      const container = document.body.appendChild(document.createElement('div'));
      const root = createRoot(container);
      run(() => root.render(both));
      return () => {
        run(() => root.unmount());
        container.remove();
      };
    });
  });

  test('does what it likes and unmounts by itself', async () => {
    await expectNoLeaks(async () => {
      const { unmount } = render(<Clean />);
      await new Promise((resolve) => setTimeout(resolve));
      unmount();
    }, quick);
  });

  test('that ends nothing, or where nobody sees it, is no test', async () => {
    await expect(expectNoLeaks(() => undefined, quick)).rejects.toThrow('there is nothing to judge');
    const detached = () => render(<Leak />, { container: document.createElement('div') });
    await expect(expectNoLeaks(detached, quick)).rejects.toThrow('there is nothing to judge');
  });

  test('that fails is told as it is, or with its cycle', async () => {
    let runs = 0;
    const failing = (from: number) => () => {
      if (runs++ >= from) throw new Error('no such button');
      return render(<Clean />);
    };
    await expect(expectNoLeaks(failing(0), quick)).rejects.toThrow(/^no such button$/);
    runs = 0;
    await expect(expectNoLeaks(failing(3), quick)).rejects.toThrow(/failed in cycle 3\. .* no such button$/);
  });
});

test('what is ignored is not judged', async () => {
  const { cycle } = openPage(leakingKinds.filter(([name]) => ['Subscription', 'StoredCallback', 'RefObject'].includes(name)));
  const options = { cycles: 5, settleMs: 0 };
  expect(names(await failure(cycle, { ...options, ignore: ['Subscription'] }))).toEqual(['RefObject', 'StoredCallback']);
  await expectNoLeaks(cycle, { ...options, ignore: [/^S/, 'RefObject'] });
});

test('the heap may be judged', async () => {
  const kept: unknown[] = [];
  function Filler() {
    useEffect(() => void kept.push(Array.from({ length: 20_000 }, (_, i) => ({ i }))), []);
    return <p />;
  }
  const { message, result } = await failure(() => render(<Filler />), { cycles: 5, maxHeapGrowthBytes: 100_000 });
  expect(message).toMatch(/^expectNoLeaks: the heap grew by more than 100 kB with each of 5 cycles of the scenario\n/);
  expect(result).toMatchObject({ leaks: [], readings: { length: 6 } });
});

describe('what is missing is told', () => {
  const mount = () => render(<p />);

  test('a document', async () => {
    vi.stubGlobal('document', undefined);
    await expect(expectNoLeaks(mount)).rejects.toThrow("in Vitest with environment: 'jsdom'");
  });

  test('a collector', async () => {
    vi.stubGlobal('gc', undefined);
    vi.doMock('node:v8', () => ({ setFlagsFromString: () => undefined }));
    vi.doMock('node:vm', () => ({ runInNewContext: () => undefined }));
    await expect(expectNoLeaks(mount)).rejects.toThrow('--expose-gc');
    vi.doUnmock('node:v8');
    vi.doUnmock('node:vm');
  });

  test('a browser that collects when it is told to', async () => {
    const newCDPSession = () => Promise.reject(new Error('CDP session is only available in Chromium'));
    const page = { url: () => '', context: () => ({ newCDPSession }) };
    await expect(expectNoLeaks(page, () => undefined)).rejects.toThrow('this needs Chromium');
  });

  test('a clock that runs', async () => {
    vi.useFakeTimers();
    await expect(expectNoLeaks(mount)).rejects.toThrow('vi.useRealTimers()');
  });

  test.each<[LeakTestOptions, string]>([
    [{ cycles: 4 }, 'cycles'],
    [{ cycles: 7.5 }, 'cycles'],
    [{ minSurvivors: 0 }, 'minSurvivors'],
    [{ minSurvivors: 11 }, 'minSurvivors'],
    [{ settleMs: -1 }, 'settleMs'],
    [{ maxHeapGrowthBytes: NaN }, 'maxHeapGrowthBytes'],
  ])('options that make sense: %j', async (options, name) => {
    await expect(expectNoLeaks(mount, options)).rejects.toThrow(`expectNoLeaks: ${name}: want `);
  });
});

test('a message tells what survives, where it was, what holds it and what grew', () => {
  const leak = { kind: 'component', name: 'Panel', owners: ['Main', 'App'], released: 11, survivors: 10, leaking: true } as const;
  const gone = { ...leak, name: 'Row', survivors: 0, leaking: false };
  const readings = [
    { heapBytes: 4_210_000, nodes: 64, listeners: 12 },
    { heapBytes: 4_310_000, nodes: 65, listeners: 13 },
    { heapBytes: 4_312_400, nodes: 66, listeners: 14 },
  ];
  const more = { ...leak, kind: 'dom', owners: [], holders: [] } as const;
  expect(
    failureMessage({
      leaks: [{ ...leak, holders: ['setInterval at tick (app.js:1:2): 10 not removed'] }, ...Array.from({ length: 20 }, (_, i) => ({ ...more, name: 'More' + i }))],
      released: [leak, gone, { ...gone, kind: 'dom' }, { ...gone, name: 'Cell' }],
      readings,
      cycles: 10,
      exceeded: undefined,
    }).replace(/More1, .*More18/, 'More1, …, More18').replace(/ {2}More1:[^]*( {2}More18)/, '…\n$1'),
  ).toMatchInlineSnapshot(`
    "expectNoLeaks: Panel, More0, More1, …, More18 and 1 more outlived 10 cycles of the scenario

      Panel: 10 of 11 components are still there
        inside Main < App
        perhaps held by: setInterval at tick (app.js:1:2): 10 not removed
      More0: 10 of 11 removed elements are still there
    …
      More18: 10 of 11 removed elements are still there
      Of 2 other names all are gone, as they should be.
      After collections: heap from 4.21 MB to 4.31 MB (half of the cycles added 2.40 kB or more), nodes from 64 to 66, listeners from 12 to 14."
  `);
});

test('the growth of the heap is that of most cycles, not that of one', () => {
  const growth = (...heaps: number[]) => heapGrowth(heaps.map((heapBytes) => ({ heapBytes })));
  expect(growth(100, 5_000, 5_000, 5_001, 5_000)).toBe(0);
  expect(growth(100, 200, 300, 290, 400)).toBe(100);
  expect(growth(100)).toBe(0);
});
