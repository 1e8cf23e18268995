import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { keepHolders, type Holders } from '../src/leaks/holders';

/** Whose signals are targets of events as those of a browser are; Vitest has put Node's in their place. */
declare const jsdom: { window: { AbortController: typeof AbortController } };

let book: Holders;
/** Stands for a monitor's budget. */
const run = vi.fn((task: () => void) => task());
/** Stands for the window, whose methods Vitest replaces; the leak matrix uses a real one. */
const page = new EventTarget();
const native = {
  add: EventTarget.prototype.addEventListener,
  remove: EventTarget.prototype.removeEventListener,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  requestAnimationFrame: globalThis.requestAnimationFrame,
  observe: MutationObserver.prototype.observe,
};

beforeEach(() => {
  book = keepHolders();
  book.start(run);
  book.start(run);
});

afterEach(() => {
  book.stop();
  expect(EventTarget.prototype.addEventListener).toBe(native.add);
  expect(EventTarget.prototype.removeEventListener).toBe(native.remove);
  expect(globalThis.setInterval).toBe(native.setInterval);
  expect(globalThis.clearInterval).toBe(native.clearInterval);
  expect(globalThis.setTimeout).toBe(native.setTimeout);
  expect(globalThis.clearTimeout).toBe(native.clearTimeout);
  expect(globalThis.requestAnimationFrame).toBe(native.requestAnimationFrame);
  expect(MutationObserver.prototype.observe).toBe(native.observe);
});

/** How many of a kind are held, by what the book says. */
const held = (what: string) => {
  const line = book.grownBy(3, what).find((each) => each.startsWith(what));
  return line ? Number(/: (\d+) not removed$/.exec(line)![1]) : 0;
};
const times = <T>(n: number, act: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => act(i));

describe('listeners', () => {
  test('of what outlives elements are counted until they are removed', () => {
    const all = Array.from({ length: 6 }, () => () => undefined);
    for (const listener of all) page.addEventListener('resize', listener);
    expect(held('listener of EventTarget for resize at ')).toBe(6);
    for (const listener of all.slice(0, 3)) page.removeEventListener('resize', listener);
    expect(held('listener of EventTarget for resize at ')).toBe(3);
    times(4, () => document.addEventListener('click', () => undefined));
    expect(held('listener of Document for click at ')).toBe(4);
    expect(book.grownBy(4, '').join()).toContain('holders.test.ts');
  });

  test('of before the end are not told of after it: nobody has told what became of them', () => {
    const all = times(6, () => () => undefined);
    for (const listener of all) page.addEventListener('resize', listener);
    book.stop();
    for (const listener of all) page.removeEventListener('resize', listener);
    book.start(run);
    expect(held('listener of EventTarget for resize at ')).toBe(0);
  });

  test.each(['x', '名'])('are told of in lines that the service takes, however long the place is called: %s', (letter) => {
    const name = letter.repeat(3_000);
    const { [name]: add } = { [name]: () => page.addEventListener('resize', () => undefined) };
    times(3, () => add!());
    const [line] = book.grownBy(3, 'holders.test.ts');
    expect(line).toMatch(new RegExp(`^listener of EventTarget for resize ${letter}+ .*holders\\.test\\.ts:\\d+:\\d+\\)?: 3 not removed$`));
    expect(Buffer.byteLength(line!)).toBeLessThanOrEqual(2_048);
  });

  test('added twice are one; with capture they are another', () => {
    const listener = vi.fn();
    times(5, (i) => page.addEventListener('twice', listener, i % 2 === 0));
    page.dispatchEvent(new Event('twice'));
    expect(listener).toHaveBeenCalledTimes(2);
    page.removeEventListener('twice', listener, { capture: true });
    page.removeEventListener('twice', listener);
    page.removeEventListener('twice', listener);
    page.dispatchEvent(new Event('twice'));
    expect(listener).toHaveBeenCalledTimes(2);
    expect(held('listener of EventTarget for twice at ')).toBe(0);
  });

  test('that end by themselves are not counted', () => {
    const controller = new AbortController();
    times(4, () => page.addEventListener('once', () => undefined, { once: true }));
    times(4, () => page.addEventListener('signal', () => undefined, { signal: controller.signal }));
    expect(held('listener of EventTarget for once at ')).toBe(0);
    expect(held('listener of EventTarget for signal at ')).toBe(4);
    controller.abort();
    expect(held('listener of EventTarget for signal at ')).toBe(0);
    times(4, () => page.addEventListener('aborted', () => undefined, { signal: controller.signal }));
    expect(held('listener of EventTarget for aborted at ')).toBe(0);
  });

  test('leave nothing with their signal, and end with it', () => {
    book.stop();
    // What is with each target, by what was added and removed before the book saw it.
    const listeners = new Map<EventTarget, Set<unknown>>();
    const listenersOf = (target: EventTarget) => listeners.get(target) ?? listeners.set(target, new Set()).get(target)!;
    EventTarget.prototype.addEventListener = function (...args: Parameters<typeof native.add>) {
      listenersOf(this).add(args[1]);
      native.add.apply(this, args);
    };
    EventTarget.prototype.removeEventListener = function (...args: Parameters<typeof native.remove>) {
      listenersOf(this).delete(args[1]);
      native.remove.apply(this, args);
    };
    book = keepHolders();
    book.start(run);
    try {
      const controller = new jsdom.window.AbortController();
      const { signal } = controller;
      const add = (all: (() => void)[], options: AddEventListenerOptions) => all.forEach((one) => page.addEventListener('long', one, options));
      const remove = (all: (() => void)[]) => all.forEach((one) => page.removeEventListener('long', one));
      for (const one of times(500, () => () => undefined)) {
        add([one], { signal });
        remove([one]);
      }
      const all = times(6, () => () => undefined);
      add(all, { signal });
      expect(held('listener of EventTarget for long at ')).toBe(6);
      remove(all.slice(0, 3));
      expect(listenersOf(signal).size).toBe(0);
      expect(held('listener of EventTarget for long at ')).toBe(3);
      // Those that were removed and are there again without the signal do not end with it.
      add(all.slice(0, 3), {});
      expect(held('listener of EventTarget for long at ')).toBe(6);
      controller.abort();
      expect(held('listener of EventTarget for long at ')).toBe(3);
      remove(all);
      expect(held('listener of EventTarget for long at ')).toBe(0);
    } finally {
      book.stop();
      EventTarget.prototype.addEventListener = native.add;
      EventTarget.prototype.removeEventListener = native.remove;
    }
  });

  test('that are added again before they have ended keep the signal that they had', () => {
    const [first, second] = [new jsdom.window.AbortController(), new jsdom.window.AbortController()];
    const all = times(4, () => vi.fn());
    const add = (options: AddEventListenerOptions) => all.forEach((one) => page.addEventListener('again', one, options));
    const counted = () => held('listener of EventTarget for again at ');
    const calls = () => {
      page.dispatchEvent(new Event('again'));
      return all.map((one) => one.mock.calls.splice(0).length).join('');
    };
    add({ signal: first.signal });
    add({ signal: second.signal });
    add({});
    second.abort();
    expect([calls(), counted()]).toEqual(['1111', 4]);
    first.abort();
    expect([calls(), counted()]).toEqual(['0000', 0]);
    add({});
    add({ signal: new jsdom.window.AbortController().signal });
    expect([calls(), counted()]).toEqual(['1111', 4]);
    all.forEach((one) => page.removeEventListener('again', one));
    expect([calls(), counted()]).toEqual(['0000', 0]);
  });

  test('of elements go with them and are not counted', () => {
    times(5, () => document.createElement('p').addEventListener('click', () => undefined));
    expect(held('listener of HTMLParagraphElement')).toBe(0);
  });

  test('that are objects or null work as ever', () => {
    const object = { handleEvent: vi.fn() };
    page.addEventListener('object', object);
    page.dispatchEvent(new Event('object'));
    expect(object.handleEvent).toHaveBeenCalledTimes(1);
    expect(page.addEventListener('null', null)).toBeUndefined();
    expect(page.removeEventListener('null', null)).toBeUndefined();
    expect(() => page.addEventListener('bad', 7 as never)).toThrow('not an object');
  });

  test('of no target are the window’s', () => {
    const listener = vi.fn();
    for (const none of [null, undefined]) {
      EventTarget.prototype.addEventListener.call(none as never, 'nowhere', listener);
      window.dispatchEvent(new Event('nowhere'));
      EventTarget.prototype.removeEventListener.call(none as never, 'nowhere', listener);
    }
    expect(listener).toHaveBeenCalledTimes(2);
  });
});

test('intervals are counted until they are cleared', () => {
  const ids = Array.from({ length: 6 }, () => setInterval(() => undefined, 60_000));
  expect(held('setInterval at ')).toBe(6);
  ids.slice(0, 2).forEach(clearInterval);
  expect(held('setInterval at ')).toBe(4);
  ids.forEach(clearInterval);
  clearInterval(undefined);
  expect(held('setInterval at ')).toBe(0);
});

test('timeouts are counted until they have fired or are cleared, and get what they are given', async () => {
  const called = vi.fn();
  await new Promise<void>((resolve) => times(4, (i) => setTimeout((...rest) => (called(...rest), i === 3 && resolve()), 1, i, 'x')));
  expect(called.mock.calls).toEqual([0, 1, 2, 3].map((i) => [i, 'x']));
  expect(held('setTimeout at ')).toBe(0);
  const ids = times(5, () => setTimeout(() => undefined, 60_000));
  expect(held('setTimeout at ')).toBe(5);
  ids.forEach((id) => clearTimeout(id));
  expect(held('setTimeout at ')).toBe(0);
});

test('a timeout that begins the next from its callback is there all the time', async () => {
  const ids = new Map<number, ReturnType<typeof setTimeout>>();
  await new Promise<void>((resolve) => {
    let fired = 0;
    const again = (i: number) => {
      ids.set(i, setTimeout(() => (fired++ === 20 && resolve(), again(i)), 1));
    };
    times(4, again);
  });
  expect(held('setTimeout at ')).toBeGreaterThanOrEqual(3);
  ids.forEach((id) => clearTimeout(id));
  expect(held('setTimeout at ')).toBe(0);
});

test('animation frames are counted until they come', async () => {
  await new Promise<void>((resolve) => {
    times(4, () => requestAnimationFrame(() => undefined));
    expect(held('requestAnimationFrame at ')).toBe(4);
    requestAnimationFrame(() => resolve());
  });
  const id = requestAnimationFrame(() => undefined);
  cancelAnimationFrame(id);
  expect(held('requestAnimationFrame at ')).toBe(0);
});

test('what stands in for the page’s own may call back at once, and what the page lacks it still lacks', () => {
  book.stop();
  try {
    vi.stubGlobal('requestAnimationFrame', (callback: (at: number) => void) => (callback(7), 1));
    vi.stubGlobal('setTimeout', undefined);
    book.start(run);
    const called = vi.fn();
    expect(requestAnimationFrame(called)).toBe(1);
    expect(called).toHaveBeenCalledExactlyOnceWith(7);
    expect(globalThis.setTimeout).toBeUndefined();
    book.stop();
  } finally {
    vi.unstubAllGlobals();
  }
});

test('observers of what outlives elements are counted until they are disconnected', () => {
  const observers = times(6, () => new MutationObserver(() => undefined));
  for (const observer of observers) {
    observer.observe(document, { childList: true });
    observer.observe(document.body, { childList: true });
  }
  expect(held('MutationObserver at ')).toBe(6);
  observers.slice(0, 2).forEach((observer) => observer.disconnect());
  expect(held('MutationObserver at ')).toBe(4);
  observers.forEach((observer) => observer.disconnect());
  for (const observer of observers) observer.observe(document.createElement('p'), { childList: true });
  expect(held('MutationObserver at ')).toBe(0);
  expect(() => observers[0]!.observe(document, {})).toThrow();
});

test('so many are known at a time; then the book begins anew', () => {
  const targets: EventTarget[] = []; // many: one looks through all of its own for each that is added
  const add = () => {
    targets.push(new EventTarget());
    targets.at(-1)!.addEventListener('full', () => undefined);
  };
  times(10_000, add);
  expect(held('listener of EventTarget for full at ')).toBe(10_000);
  times(5, add);
  expect(held('listener of EventTarget for full at ')).toBe(5);
});

test('each stack is taken on the budget of whoever has started it, and none for elements and for what ends', () => {
  const listener = () => undefined;
  run.mockClear();
  page.addEventListener('budget', listener);
  page.addEventListener('budget', listener);
  const interval = setInterval(listener, 60_000);
  const observer = new MutationObserver(listener);
  observer.observe(document, { childList: true });
  expect(run).toHaveBeenCalledTimes(3);
  document.createElement('p').addEventListener('budget', listener);
  page.removeEventListener('budget', listener);
  clearInterval(interval);
  observer.disconnect();
  expect(run).toHaveBeenCalledTimes(3);
});

test('where nothing has grown it says what remains', () => {
  expect(book.grownBy(5, 'Cart')).toEqual(['a closure, a store or a promise']);
});

test('what somebody else has wrapped since is left alone', () => {
  const ours = EventTarget.prototype.addEventListener;
  const theirs = function (this: EventTarget, ...rest: Parameters<typeof ours>) {
    return ours.apply(this, rest);
  };
  EventTarget.prototype.addEventListener = theirs;
  book.stop();
  expect(EventTarget.prototype.addEventListener).toBe(theirs);
  // It is called on, but looks at nothing any more.
  const captureStackTrace = vi.spyOn(Error, 'captureStackTrace');
  const listener = vi.fn();
  times(6, () => page.addEventListener('wrapped', listener));
  page.dispatchEvent(new Event('wrapped'));
  expect(listener).toHaveBeenCalledTimes(1);
  expect(captureStackTrace).not.toHaveBeenCalled();
  expect(held('listener of EventTarget for wrapped at ')).toBe(0);
  captureStackTrace.mockRestore();
  EventTarget.prototype.addEventListener = native.add;
});
