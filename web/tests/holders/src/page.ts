/* Does with listeners and timers what a page may do with them, and writes down what comes of it. */
import { keepHolders, type Holders } from '@memwarden/react/leaks';

declare global {
  interface Window {
    listening: {
      /** What comes of it all, in its order; with book kept or without. */
      record(kept: boolean): Promise<string[]>;
      /** What the book has, of listeners that are added and ended in all the ways there are: after adding and in the end. */
      book(): { added: string[]; ended: string[] };
      /** What is heard, and what the book has, of listeners that were added with two signals, when the second is aborted and when the first is. */
      twoSignals(): [heard: number, first: string][];
      /** A signal that the page keeps and never aborts. */
      signal: AbortSignal;
      /** Keeps book while as many listeners are added with that signal, and removed unless they are kept; those that are not removed go with their targets. */
      signals(count: number, kept: boolean): void;
      stop(): void;
      /** How many of those listeners and of their targets are there still. */
      alive(): number;
      /** What listeners hear that are added before the book is opened and removed later, and the other way round. */
      acrossTheBook(): string[];
    };
  }
}

const nameOf = (target: unknown) => (target === window ? 'window' : target === document ? 'document' : ((target as Element | null)?.localName ?? `${target}`));

/** What an attempt returns or throws. */
function attempt(act: () => unknown): string {
  try {
    return `returned ${act()}`;
  } catch (error) {
    const { name, message } = error as Error;
    return `threw ${name}: ${message}`;
  }
}

function listen(log: string[]): void {
  const write = (label: string) =>
    function (this: unknown, event: Event) {
      log.push(`${label}: ${event.type} at ${nameOf(event.currentTarget)} in phase ${event.eventPhase}, this is ${nameOf(this)}`);
    };
  const send = (type: string) => {
    log.push(`sent ${type}: ${document.body.dispatchEvent(new Event(type, { bubbles: true, cancelable: true }))}`);
  };

  // Order, capture, and the same listener twice.
  const twice = write('twice');
  for (const target of [document, window]) {
    target.addEventListener('order', write('bubbling'));
    target.addEventListener('order', twice, true);
    target.addEventListener('order', twice, { capture: true, passive: true });
    target.addEventListener('order', twice);
    target.addEventListener('order', write('later'), { capture: false });
  }
  send('order');
  for (const target of [document, window]) target.removeEventListener('order', twice, { capture: true });
  send('order');
  for (const target of [document, window]) target.removeEventListener('order', twice);
  send('order');

  for (const target of [window, document]) {
    // Once; with it gone it may be added anew, and it may be removed before it comes.
    const once = write('once');
    target.addEventListener('once', once, { once: true });
    target.addEventListener('once', once, { once: true, capture: true });
    send('once');
    send('once');
    target.addEventListener('once', once, { once: true });
    target.removeEventListener('once', once);
    send('once');

    // A signal ends what it was given for; one that has ended adds nothing.
    const controller = new AbortController();
    target.addEventListener('signal', write('until aborted'), { signal: controller.signal });
    target.addEventListener('signal', write('aborted, once'), { signal: controller.signal, once: true });
    send('signal');
    controller.abort();
    send('signal');
    target.addEventListener('signal', write('too late'), { signal: controller.signal });
    send('signal');

    // Objects, whose method is looked up when the event comes, with the object as this.
    const object = { localName: 'an object', handleEvent: write('first method') as unknown };
    target.addEventListener('object', object as EventListenerObject);
    send('object');
    object.handleEvent = write('second method');
    send('object');
    target.removeEventListener('object', object as EventListenerObject);
    send('object');

    // One that removes itself, another, and all that come after it.
    const other = write('removed by another');
    const itself = (event: Event) => {
      log.push('removes itself');
      target.removeEventListener('removal', itself);
      target.removeEventListener('removal', other);
      if (target === document) event.stopImmediatePropagation();
      event.preventDefault();
    };
    target.addEventListener('removal', itself);
    target.addEventListener('removal', other);
    target.addEventListener('removal', write('last'));
    send('removal');
    send('removal');

    // What fails within a listener is reported, and the next one is called.
    target.addEventListener('failure', () => {
      throw new Error(`failed at ${nameOf(target)}`);
    });
    target.addEventListener('failure', write('after the failure'));
    send('failure');

    // Nothing, and what is no listener.
    const any = target as unknown as Record<'addEventListener' | 'removeEventListener', (...args: unknown[]) => unknown>;
    for (const method of ['addEventListener', 'removeEventListener'] as const) {
      for (const args of [[], ['type'], ['type', null], ['type', undefined], ['type', null, null], ['type', 7], ['type', 'text'], ['type', () => 0, 7], ['type', () => 0, { signal: null }], ['type', () => 0, { signal: 7 }], [Symbol('type'), () => 0]]) {
        log.push(`${method}(${args.map(String).join()}) of ${nameOf(target)} ${attempt(() => any[method](...args))}`);
      }
      log.push(`${method} of an object ${attempt(() => any[method].call({}, 'type', () => 0))}`);
    }
    send('type');
  }

  // Without a target it is the window's.
  const bare = window.addEventListener;
  const heard = write('bare');
  log.push(`bare ${attempt(() => bare('bare', heard))}`);
  send('bare');
  const { removeEventListener: take } = window;
  take('bare', heard);
  send('bare');
}

async function wait(log: string[]): Promise<void> {
  const say = (label: string) =>
    function (this: unknown, ...rest: unknown[]) {
      log.push(`${label} with ${rest.map((one) => typeof one).join() || 'nothing'}, this is ${nameOf(this)}`);
    };
  const all = window as unknown as Record<string, (...args: unknown[]) => number>;
  for (const name of ['setTimeout', 'setInterval']) {
    for (const args of [[], [null, 0], [undefined]]) log.push(`${name}(${args.map(String).join()}) ${attempt(() => typeof all[name]!(...args))}`);
    all.clearTimeout!(all[name]!(say('cleared'), 0));
    all.clearInterval!(all[name]!(say('cleared'), 0));
  }
  for (const name of ['clearTimeout', 'clearInterval', 'cancelAnimationFrame']) log.push(`${name} ${attempt(() => all[name]!(-1))} ${attempt(() => all[name]!('none'))}`);
  for (const args of [[], [7]]) log.push(`requestAnimationFrame(${args.join()}) ${attempt(() => all.requestAnimationFrame!(...args))}`);
  all.setTimeout!("window.fromText = 'text was run'", 0);
  setTimeout(say('first timeout'), 1, 'a', 7);
  setTimeout(() => {
    throw new Error('failed in a timeout');
  }, 1);
  setTimeout(say('second timeout'), 1);
  await new Promise<void>((resolve) => {
    let ticks = 0;
    const id = setInterval(
      function (this: unknown, ...rest: unknown[]) {
        say('interval').apply(this, rest);
        if (++ticks < 3) return;
        clearInterval(id);
        resolve();
      },
      2,
      'rest',
    );
  });
  await new Promise<void>((resolve) => {
    cancelAnimationFrame(requestAnimationFrame(say('cancelled frame')));
    requestAnimationFrame(say('frame'));
    requestAnimationFrame(function (this: unknown, at) {
      say('later frame').call(this, at);
      resolve();
    });
  });
  log.push(`${(window as unknown as { fromText?: string }).fromText}`);
}

const weak: WeakRef<object>[] = [];
/** Nobody's budget. */
const run = (task: () => void) => task();
const ofSignals: Holders = keepHolders();

window.listening = {
  signal: new AbortController().signal,

  signals(count, kept) {
    ofSignals.start(run);
    for (let i = 0; i < count; i++) {
      const target = new EventTarget();
      // What a component's listener would hold.
      const listener = Object.assign(() => undefined, { row: new Array(100).fill(i) });
      target.addEventListener('long', listener, { signal: this.signal });
      if (!kept) target.removeEventListener('long', listener);
      weak.push(new WeakRef(listener), new WeakRef(target));
    }
  },

  stop: () => ofSignals.stop(),

  alive: () => weak.filter((one) => one.deref()).length,

  async record(kept) {
    // Listeners of the last time are gone with their page: each record is made on a page of its own.
    const book = keepHolders();
    const log: string[] = [];
    const note = (event: ErrorEvent) => {
      log.push(`reported: ${event.message}`);
      event.preventDefault();
    };
    window.addEventListener('error', note);
    if (kept) book.start(run);
    listen(log);
    await wait(log);
    if (kept) book.stop();
    return log;
  },

  book() {
    const book = keepHolders();
    book.start(run);
    const lines = () => book.grownBy(4, 'none').map((line) => line.replace(/ at .*:\d+:\d+\)?: /, ': ')).sort();
    const controller = new AbortController();
    const objects = Array.from({ length: 8 }, () => ({ handleEvent() {} }));
    const functions = Array.from({ length: 4 }, () => () => undefined);
    for (const [i, listener] of functions.entries()) {
      window.addEventListener('plain', listener);
      window.addEventListener('plain', listener); // no second one
      document.addEventListener('captured', listener, true);
      document.addEventListener('aborted', listener, { signal: controller.signal });
      window.addEventListener('once', listener, { once: true });
      EventTarget.prototype.addEventListener.call(window, 'null', null);
      document.createElement('p').addEventListener('element', listener);
      window.addEventListener('object', objects[i]!);
    }
    const added = lines();
    for (const [i, listener] of functions.entries()) {
      window.removeEventListener('plain', listener);
      document.removeEventListener('captured', listener); // is another one
      document.removeEventListener('captured', listener, { capture: true });
      window.removeEventListener('object', objects[i]!);
    }
    controller.abort();
    const ended = lines();
    book.stop();
    return { added, ended };
  },

  twoSignals() {
    const book = keepHolders();
    book.start(run);
    const [first, second] = [new AbortController(), new AbortController()];
    let heard = 0;
    const all = Array.from({ length: 4 }, () => () => void heard++);
    for (const { signal } of [first, second]) all.forEach((one) => window.addEventListener('signals', one, { signal }));
    const seen = [second, first].map((controller): [number, string] => {
      controller.abort();
      heard = 0;
      window.dispatchEvent(new Event('signals'));
      return [heard, book.grownBy(4, 'none')[0]!.replace(/ at .*:\d+:\d+\)?: /, ': ')];
    });
    book.stop();
    return seen;
  },

  acrossTheBook() {
    const book = keepHolders();
    const log: string[] = [];
    const native = [EventTarget.prototype.addEventListener, EventTarget.prototype.removeEventListener, window.setTimeout, window.setInterval, window.requestAnimationFrame];
    const before = () => log.push('before');
    const within = () => log.push('within');
    const tick = setInterval(() => log.push('tick'), 0);
    window.addEventListener('across', before);
    book.start(run);
    window.removeEventListener('across', before);
    window.addEventListener('across', within);
    window.dispatchEvent(new Event('across'));
    clearInterval(tick);
    const later = setInterval(() => log.push('later'), 0);
    book.stop();
    clearInterval(later);
    window.removeEventListener('across', within);
    window.dispatchEvent(new Event('across'));
    const now = [EventTarget.prototype.addEventListener, EventTarget.prototype.removeEventListener, window.setTimeout, window.setInterval, window.requestAnimationFrame];
    log.push(`native again: ${now.every((method, i) => method === native[i])}`);
    return log;
  },
};
