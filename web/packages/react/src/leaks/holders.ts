/** Bookkeeping of what commonly holds components: listeners and observers of what outlives them, timers. */
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
/** How many timers are known at a time. */
const maxHeld = 10_000;
const maxNamed = 5;

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** What is held: by what it is found again, which is not kept alive, a key beside that, and what it is called. */
type Entry = [by: object, key: unknown, what: string];

/** The place in the code that called a function, where the engine can leave out the frames before. */
function callerOf(callee: Method): string {
  const error: { stack?: string } = {};
  Error.captureStackTrace?.(error, callee);
  return /^(?: *at )?(.*:\d+:\d+.*)/m.exec(error.stack ?? '')?.[1] ?? 'an unknown place';
}

/** Whether a target is held by the page, beyond the life of what is shown in it. */
function outlives(target: unknown): boolean {
  return !(target instanceof Element) || target === document.body || target === document.documentElement;
}

/**
 * Wraps what adds and removes listeners, timers and observers of the page while it is started. What that does and returns
 * stays the same. Elements are left out: what listens to them or observes them goes with them. A stack is taken for each
 * call, in about 10 µs: it is for development and for the few pages that are looked at closely.
 */
export function keepHolders(): Holders {
  const sites = new Map<string, number>();
  const held = new WeakMap<object, Map<unknown, string>>();
  const numbers = new WeakMap<object, number>();
  let targets = 0;
  let undo: (() => void)[] = [];

  const hold = ([by, key, what]: Entry, callee: Method) => {
    const all = held.get(by) ?? new Map<unknown, string>();
    if (all.has(key) || all.size >= maxHeld) return;
    const site = what + ' at ' + callerOf(callee);
    const count = sites.get(site) ?? 0;
    if (!count && sites.size >= maxSites) return;
    sites.set(site, count + 1);
    held.set(by, all.set(key, site));
  };

  const drop = ([by, key]: Entry) => {
    const all = held.get(by);
    const site = all?.get(key);
    if (site && all!.delete(key)) sites.set(site, sites.get(site)! - 1);
  };

  /** Puts another method in the place of one until the end. */
  const replace = (owner: Record<string, Method>, name: string, wrap: (native: Method) => Method) => {
    const native = owner[name]!;
    const ours = wrap(native);
    owner[name] = ours;
    undo.push(() => {
      // What somebody else has wrapped since stays as it is: to take ours out would take theirs out too.
      if (owner[name] === ours) owner[name] = native;
    });
  };

  /** Keeps book of what one method begins until another ends it. */
  const keep = (owner: object, begin: string, end: string, entryOf: (self: object, args: unknown[], id: unknown) => Entry | undefined, once = false) => {
    replace(owner as Record<string, Method>, begin, (native) =>
      function begun(...args) {
        const [callback] = args;
        if (once && typeof callback === 'function') {
          args[0] = function (...rest: unknown[]) {
            if (entry) drop(entry);
            return (callback as Method).apply(this, rest);
          } satisfies Method;
        }
        const result = native.apply(this, args);
        const entry = entryOf(this as object, args, result);
        if (entry) hold(entry, begun);
        return result;
      },
    );
    replace(owner as Record<string, Method>, end, (native) =>
      function (...args) {
        const entry = entryOf(this as object, args, args[0]);
        if (entry) drop(entry);
        return native.apply(this, args);
      },
    );
  };

  return {
    start() {
      if (undo.length) return;
      keep(EventTarget.prototype, 'addEventListener', 'removeEventListener', (target = window, [type, listener, options]) => {
        const { capture = options === true, once, signal } = Object(options) as AddEventListenerOptions;
        // One that goes after its first call holds nothing for long; one that was aborted already was not added.
        if (!listener || once || signal?.aborted || !outlives(target)) return undefined;
        if (!numbers.has(target)) numbers.set(target, ++targets);
        const what = `listener of ${target.constructor.name} for ${String(type)}`;
        const entry: Entry = [listener, [numbers.get(target), type, !!capture].join(), what];
        signal?.addEventListener('abort', () => drop(entry), { once: true });
        return entry;
      });
      keep(globalThis, 'setInterval', 'clearInterval', (_self, _args, id) => [held, id, 'interval']);
      // Of those that end by themselves one that begins the next from its callback is there all the time.
      keep(globalThis, 'setTimeout', 'clearTimeout', (_self, _args, id) => [held, id, 'timeout'], true);
      keep(globalThis, 'requestAnimationFrame', 'cancelAnimationFrame', (_self, _args, id) => [sites, id, 'animation frame'], true);
      for (const name of ['ResizeObserver', 'IntersectionObserver', 'MutationObserver', 'PerformanceObserver']) {
        const kind = (globalThis as unknown as Record<string, { prototype: object } | undefined>)[name];
        if (kind) keep(kind.prototype, 'observe', 'disconnect', (self, [target]) => (outlives(target) ? [self, 0, name] : undefined));
      }
    },
    stop() {
      undo.forEach((one) => one());
      undo = [];
    },
    grownBy(survivors, name) {
      const distance = ([site, count]: [string, number]) => (site.includes(name) ? -1 : Math.abs(count - survivors));
      const grown = [...sites]
        .filter(([, count]) => count >= Math.max(3, survivors / 2))
        .sort((a, b) => distance(a) - distance(b))
        .slice(0, maxNamed)
        .map(([site, count]) => `${site}: ${count} not removed`);
      return grown.length ? grown : ['a closure, a store or a promise'];
    },
  };
}
