/** Bookkeeping of what commonly holds components: listeners on what outlives them, intervals. */
export interface Holders {
  start(): void;
  stop(): void;
  /**
   * What has been added and not removed about so many times: what it is, and the place in the code. Places that have the
   * name in them come first, as files that are named after their component do.
   */
  grownBy(count: number, name: string): string[];
}

/** How many places in the code are told apart. */
const maxSites = 500;
const maxNamed = 5;

/** One that was added and is not removed yet. */
interface Entry {
  readonly site: Site;
  live: boolean;
}

interface Site {
  readonly what: string;
  count: number;
}

const { captureStackTrace } = Error as { captureStackTrace?: (error: Error, callee: unknown) => void };

/** The place in the code that called a function. Where frames cannot be left out, two are of this module. */
function callerOf(callee: unknown): string {
  const error = new Error();
  captureStackTrace?.(error, callee);
  const frames = (error.stack ?? '').split('\n').filter((line) => /:\d+:\d+/.test(line));
  return (frames[captureStackTrace ? 0 : 3] ?? 'an unknown place').trim().replace(/^at /, '');
}

/**
 * Wraps addEventListener, removeEventListener, setInterval and clearInterval of the page while it is started. What they do
 * and return stays the same. Elements are left out: their listeners go with them. A stack is taken for each call, in about
 * 10 µs: it is for development and for the few pages that are looked at closely.
 */
export function keepHolders(): Holders {
  const sites = new Map<string, Site>();
  const listeners = new WeakMap<EventTarget, WeakMap<object, Map<string, Entry>>>();
  const intervals = new Map<unknown, Entry>();
  let restore: (() => void) | undefined;

  const open = (what: string, callee: unknown): Entry | undefined => {
    const key = what + ' at ' + callerOf(callee);
    let site = sites.get(key);
    if (!site) {
      if (sites.size >= maxSites) return undefined;
      site = { what: key, count: 0 };
      sites.set(key, site);
    }
    site.count++;
    return { site, live: true };
  };

  const close = (entry: Entry | undefined) => {
    if (!entry?.live) return;
    entry.live = false;
    entry.site.count--;
  };

  const keyOf = (type: string, options: unknown) =>
    type + ((typeof options === 'object' && options ? (options as EventListenerOptions).capture : options) ? ' capture' : '');

  /** What a listener is held by beyond the life of an element; undefined for elements. */
  const holderName = (target: EventTarget): string | undefined =>
    target instanceof Element && target !== document.body && target !== document.documentElement
      ? undefined
      : target.constructor.name;

  const start = () => {
    const prototype = EventTarget.prototype;
    const page = globalThis as unknown as Record<'setInterval' | 'clearInterval', (...rest: unknown[]) => unknown>;
    const { addEventListener: add, removeEventListener: remove } = prototype;
    const { setInterval: begin, clearInterval: clear } = page;

    function addListener(this: EventTarget | undefined, ...rest: Parameters<typeof add>) {
      const target = this ?? window;
      const result = add.apply(target, rest);
      const [type, listener, options] = rest;
      const name = holderName(target);
      const { once, signal } = (typeof options === 'object' && options) || {};
      // One that goes after its first call holds nothing for long; one that was aborted already was not added.
      if (!listener || !name || once || signal?.aborted) return result;
      let ofTarget = listeners.get(target);
      if (!ofTarget) listeners.set(target, (ofTarget = new WeakMap()));
      let entries = ofTarget.get(listener);
      if (!entries) ofTarget.set(listener, (entries = new Map()));
      const key = keyOf(String(type), options);
      if (entries.get(key)?.live) return result;
      const entry = open(`listener of ${name} for ${String(type)}`, addListener);
      if (entry) entries.set(key, entry);
      signal?.addEventListener('abort', () => close(entry), { once: true });
      return result;
    }
    function removeListener(this: EventTarget | undefined, ...rest: Parameters<typeof remove>) {
      const target = this ?? window;
      const [type, listener, options] = rest;
      if (listener) close(listeners.get(target)?.get(listener)?.get(keyOf(String(type), options)));
      return remove.apply(target, rest);
    }
    function beginInterval(this: unknown, ...rest: unknown[]) {
      const id = begin.apply(globalThis, rest);
      const entry = intervals.size < maxSites * 20 ? open('interval', beginInterval) : undefined;
      if (entry) intervals.set(id, entry);
      return id;
    }
    function clearOne(this: unknown, ...rest: unknown[]) {
      close(intervals.get(rest[0]));
      intervals.delete(rest[0]);
      return clear.apply(globalThis, rest);
    }
    prototype.addEventListener = addListener;
    prototype.removeEventListener = removeListener;
    page.setInterval = beginInterval;
    page.clearInterval = clearOne;
    restore = () => {
      // What somebody else has wrapped since stays as it is: to take ours out would take theirs out too.
      if (prototype.addEventListener === addListener) prototype.addEventListener = add;
      if (prototype.removeEventListener === removeListener) prototype.removeEventListener = remove;
      if (page.setInterval === beginInterval) page.setInterval = begin;
      if (page.clearInterval === clearOne) page.clearInterval = clear;
    };
  };

  return {
    start() {
      if (!restore) start();
    },
    stop() {
      restore?.();
      restore = undefined;
    },
    grownBy(count, name) {
      const distance = (site: Site) => (site.what.includes(name) ? -1 : Math.abs(site.count - count));
      return [...sites.values()]
        .filter((site) => site.count >= count / 2 && site.count >= 3)
        .sort((a, b) => distance(a) - distance(b))
        .slice(0, maxNamed)
        .map((site) => `${site.what}: ${site.count} not removed`);
    },
  };
}
