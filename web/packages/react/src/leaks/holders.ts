/** Bookkeeping of what commonly holds components: listeners and observers of what outlives them, timers. */
export interface Holders {
  /** Begins, unless it has begun; `run` runs what takes time on somebody's budget, as a monitor's does. */
  start(run: (task: () => void) => void): void;
  /** Ends it, and forgets what is held. */
  stop(): void;
  /**
   * What has been added and not removed about so many times: what it is, and the place in the code. Places that have the
   * name in them come first, as files that are named after their component do.
   */
  grownBy(count: number, name: string): string[];
}

/** How much is known at a time, before it begins anew. */
const maxHeld = 10_000;
const maxNamed = 5;

type Method = (this: unknown, ...args: unknown[]) => unknown;
type Listening = Parameters<EventTarget['addEventListener']>;

/** Of an AbortSignal, whether it has ended what it was given for. */
type Signal = Partial<Pick<AbortSignal, 'aborted'>>;

/** What is held: by what it is found again, what it is called, and what ends it before its time. */
type Entry = [key: unknown, what: string, signal?: Signal | undefined];

/**
 * Wraps what adds and removes listeners, timers and observers of the page while it is started. What that does and returns
 * stays the same. Elements are left out: what listens to them or observes them goes with them. For each call that begins
 * something a stack is taken, in 10 to 20 µs: it is for development and for the few pages that are looked at closely.
 */
export function keepHolders(): Holders {
  /** What each is called, with its place, and what ends it. Objects have a number in its key, which does not keep them alive. */
  const numbers = new WeakMap<object, number>();
  let last = 0;
  const held = new Map<unknown, [site: string, signal: WeakRef<Signal>]>();
  const undo: (() => void)[] = [];

  /** Whether nothing is held any more. A signal that is collected was aborted: what holds the listener alive would hold it too. */
  const isOver = ([, signal]: readonly [string?, WeakRef<Signal>?] = []) => (signal?.deref() ?? { aborted: true }).aborted;

  const numberOf = (one: object) => numbers.get(one) ?? numbers.set(one, ++last).get(one);

  return {
    stop() {
      undo.splice(0).forEach((one) => one());
      // Nobody would tell what ends from now on.
      held.clear();
    },
    start(run) {
      if (undo.length) return;
      /** Keeps book of what one method begins until another ends it, or, where it comes once, until it has come. */
      const keep = <Args extends unknown[]>(
        owner: Record<string, Method>,
        begin: string,
        end: string,
        // Timeouts and intervals share their ids; those of frames are others.
        entryOf: (id: unknown, args: Args, self: object) => Entry | false | null = (id) => [begin[0]! + (id as number), begin],
        once?: boolean,
      ) => {
        if (!owner?.[begin]) return;
        for (const name of [end, begin]) {
          const native = owner[name]!;
          const ours = (owner[name] = function (...args) {
            // Where somebody else has wrapped it, it is called after the end too.
            if (!undo.length) return native.apply(this, args);
            const [callback] = args;
            if (once && typeof callback === 'function') {
              args[0] = function (...rest: unknown[]) {
                held.delete(key);
                callback.apply(this, rest);
              } satisfies Method;
            }
            const result = native.apply(this, args);
            // Where there is no signal it is something that lives as long as the book, and is never aborted. What stands in for
            // the page's own may call back at once, when there is no key yet.
            // eslint-disable-next-line no-var
            var [key, what, signal = held as Signal] = entryOf(result ?? callback, args as Args, this ?? window) || [];
            // What is added again before it has ended is what it was, with the signal that it had.
            if (name === end) held.delete(key);
            else if (what && isOver(held.get(key))) {
              // What is outside takes 2 µs, and for elements 0.1 µs: to read the clock for each of those would take 0.6 µs more.
              run(() => {
                // The list is the call's own, and done with. Where the engine cannot leave out the frames before, there is no place.
                Error.captureStackTrace?.(args, ours);
                if (held.size >= maxHeld) held.clear();
                // The service takes 2,048 bytes, and a unit of text is three at most. Nothing is left with the signal, which may live
                // as long as the page.
                held.set(key, [what + ' ' + (/\S.*:\d.*/.exec((args as { stack?: string }).stack!)?.[0].slice(-666) ?? 'somewhere'), new WeakRef(signal)]);
              });
            }
            return result;
          });
          undo.push(() => {
            // What somebody else has wrapped since stays as it is: to take ours out would take theirs out too.
            if (owner[name] === ours) owner[name] = native;
          });
        }
      };

      keep(EventTarget.prototype as never, 'addEventListener', 'removeEventListener', (_, [type, listener, options]: Listening, target) => {
        const { once, signal, capture = options === true } = (options ?? 0) as AddEventListenerOptions;
        // One that goes after its first call holds nothing for long; one that was aborted already was not added.
        return (
          listener &&
          !once &&
          outlives(target) &&
          !signal?.aborted && [`${[numberOf(target), numberOf(listener), type, capture]}`, `listener of ${target.constructor.name} for ${type}`, signal]
        );
      });
      keep(window as never, 'setInterval', 'clearInterval');
      // Of those that end by themselves one that begins the next from its callback is there all the time.
      keep(window as never, 'setTimeout', 'clearTimeout', undefined, true);
      keep(window as never, 'requestAnimationFrame', 'cancelAnimationFrame', undefined, true);
      for (const name of ['MutationObserver', 'IntersectionObserver', 'PerformanceObserver', 'ResizeObserver']) {
        keep((window as never)[name]?.['prototype'] as never, 'observe', 'disconnect', (_, [target]: [object?], self) => outlives(target) && [name + numberOf(self), name]);
      }
    },
    grownBy(survivors, name) {
      const sites: Record<string, number> = {};
      held.forEach((entry, key) => {
        const [site] = entry;
        if (isOver(entry)) held.delete(key);
        else sites[site] = 1 + (sites[site] ?? 0);
      });
      const distance = ([site, count]: [string, number]) => (site.includes(name) ? -1 : Math.abs(count - survivors));
      const grown = Object.entries(sites)
        .filter(([, count]) => count >= survivors / 2 && count > 2)
        .sort((a, b) => distance(a) - distance(b))
        .slice(0, maxNamed)
        .map(([site, count]) => site + ': ' + count + ' not removed');
      return grown.length ? grown : ['a closure, a store or a promise'];
    },
  };
}

/** Whether a target is held by the page, beyond the life of what is shown in it. */
const outlives = (target?: { localName?: string }) => /^(|body|html)$/.test(target?.localName ?? '');
