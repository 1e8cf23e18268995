import type { MemoryMonitor } from '@memwarden/client';
import { createCanary } from './canary';
import { judge, type Moment, type Released, type Rules } from './cohort';
import { fiberOf, isOut, nameOf, ownersOf, type Fiber } from './fiber';
import { page } from './guest';
import { createPopulation } from './population';
import type { Holders } from './holders';

/** What is thought to leak. */
export interface LeakReport extends Released {
  /** What grew by about as many as survive, and so probably holds them, or what else may; only with `keepHolders()`. */
  readonly holders: readonly string[];
}

export interface LeakOptions extends Partial<Rules> {
  /** How often ended components are looked for; default 5,000 ms. */
  readonly sweepMs?: number;
  /** Where the page is watched; default the document. */
  readonly root?: ParentNode;
  /** Bookkeeping of listeners, timers and observers: `keepHolders()`. */
  readonly holders?: Holders;
  /** Called for a leak when it is first seen, and each time its survivors have doubled. */
  readonly onLeak?: (leak: LeakReport) => void;
}

export interface LeakWatch {
  /**
   * Something that is in use now; the returned function tells that it should go. To track it again takes that back. What is no
   * object, as a reference that is not filled yet, is left out.
   */
  track(object: object, name: string): () => void;
  /** What leaks, as of the last sweep, the most survivors first. */
  leaks(): readonly LeakReport[];
  /** All that was released and had its time to go, whether it leaks or not, as of the last sweep. */
  released(): readonly Released[];
  /** Sweeps now, in one piece. */
  sweep(): void;
  /** Ends it; so does the end of the monitor, from which it starts anew. */
  stop(): void;
}

/** How long one slice of work lasts at most. */
const sliceMs = 1;
/** How many elements and fibers are looked at in one go when they come or go; the others wait for an idle moment. */
const eager = 200;
/** How many wait at most; what comes beyond is not looked at. */
const maxWaiting = 20_000;
const maxOwners = 6;

const watches = new WeakMap<MemoryMonitor, LeakWatch>();

/** The watch of a monitor. */
export function leakWatchOf(monitor: MemoryMonitor | undefined): LeakWatch | undefined {
  return watches.get(monitor!);
}

/**
 * Watches for components, removed elements and tracked objects that are not collected although they should be. Components
 * are found by the elements that React makes; where React's marks are missing, elements and tracked objects remain.
 */
export function watchLeaks(monitor: MemoryMonitor, options: LeakOptions = {}): LeakWatch {
  const { onLeak, sweepMs = 5_000, holders: book } = options;
  const population = createPopulation();
  const canary = createCanary();
  /** The component that an element belongs to; React forgets it when it removes the element. */
  const componentOf = new WeakMap<Node, string | undefined>();
  /** What leaks was told of, and how many survivors it had. */
  const told: Record<string, number> = {};
  let commits = 0;
  let dirty = false;
  /** What is to be looked at: what came, with all that is below it, and what has gone. */
  let waiting: (Element | Fiber)[] = [];
  let leaks: readonly LeakReport[] = [];
  let judged: readonly Released[] = [];

  const moment = (): Moment => ({ at: performance.now(), commits, collections: canary() });

  /** Begins to look at a fiber; tells whether there may be something new above it. */
  const adopt = (fiber: Fiber) => {
    const name = nameOf(fiber.type);
    const cohort = name && population.add('component', name, isOut, fiber, fiber.alternate);
    // React forgets the owners of what it removes: one that has gone when it is looked at has none.
    if (cohort && !cohort.owners.length) cohort.owners = ownersOf(fiber, maxOwners);
    return cohort || !name;
  };

  /** Texts wait too, and are looked at as fibers of which nothing is known: to tell them apart here would be of no use. */
  const wait = (next: Node | Fiber | null) => {
    if (waiting.length < maxWaiting && next) waiting.push(next as Element | Fiber);
  };

  const look = (next: Element | Fiber) => {
    if (!(next instanceof Element)) {
      wait(next.sibling);
      adopt(next);
      return wait(next.child);
    }
    // Released is what is out when its turn comes: it may have come back, or been moved, before.
    if (isOut(next)) return population.add('dom', belongsTo(next) ?? '<' + next.localName + '>', isOut, next);
    population.recall(next);
    const fiber = fiberOf(next);
    // React did not make it, but may have made what is in it.
    if (!fiber) return [...next.children].forEach(wait);
    const around = next.parentNode;
    const [name] = ownersOf(fiber, 1);
    componentOf.set(next, name);
    // What holds React's elements and is none itself, as the container of a portal, belongs to who put them there.
    if (around && !fiberOf(around) && around !== document.body) componentOf.set(around, name);
    for (let above: Fiber | null = fiber; above && adopt(above); above = above.return);
    wait(fiber.child);
  };

  /** The component that a node, or else what is around it, belongs to. */
  const belongsTo = (node: Node | null): string | undefined =>
    node ? (componentOf.get(node) ?? ownersOf(fiberOf(node), 1)[0] ?? belongsTo(node.parentNode)) : undefined;

  /** One look at all there is, in steps; then judges what was seen, and tells what leaks. */
  function* work(): Generator<undefined, void> {
    while (waiting.length) {
      look(waiting.pop()!);
      yield;
    }
    if (dirty) {
      dirty = false;
      yield* population.sweep(moment());
    }
    const now = moment();
    judged = population.cohorts().map((cohort) => judge(cohort, now, options));
    leaks = judged
      .filter((one) => one.leaking)
      .map((one) => ({ ...one, holders: book?.grownBy(one.survivors, one.name) ?? [] }))
      .sort((a, b) => b.survivors - a.survivors);
    for (const leak of leaks) {
      const { name, kind, survivors } = leak;
      if (survivors < 2 * told[kind + name]!) continue;
      told[kind + name] = survivors;
      monitor.report('leak', { ...leak, what: kind });
      onLeak?.(leak);
    }
  }

  const start = () => {
    const root = options.root ?? document;
    const observer = new MutationObserver((records) => {
      dirty = true;
      commits++;
      monitor.run(() => {
        for (const { removedNodes, target, addedNodes } of records) {
          addedNodes.forEach(wait);
          // What was not looked at yet, or is none of React's, belongs to where it was.
          const around = removedNodes.length ? belongsTo(target) : undefined;
          removedNodes.forEach((node) => {
            wait(node);
            if (!componentOf.has(node)) componentOf.set(node, around);
          });
        }
        for (let left = eager; left-- && waiting.length; ) look(waiting.pop()!);
      });
    });
    observer.observe(root, { subtree: true, childList: true });
    book?.start(monitor.run);
    let current: Generator | undefined;
    const slice = () => {
      monitor.run(() => {
        const until = performance.now() + sliceMs;
        while (current && performance.now() < until) {
          if (current.next().done) current = undefined;
        }
      });
      if (current) plan();
    };
    /** Works on when the browser has nothing else to do, in two seconds at the latest; where it does not tell, soon. */
    const plan = () => {
      current ??= work();
      (globalThis.requestIdleCallback ?? setTimeout)(slice, { timeout: 2_000 } as never);
    };
    const timer = setInterval(plan, sweepMs);
    [...root.children].forEach(wait);
    plan();
    return () => {
      observer.disconnect();
      clearInterval(timer);
      book?.stop();
      waiting = [];
      current = undefined;
    };
  };

  const remove = monitor.addPart(start);
  const watch: LeakWatch = {
    released: () => judged,
    leaks: () => leaks,
    sweep() {
      dirty = true;
      for (const step of work()) void step;
    },
    track(object, name) {
      let ended = false;
      const endForGuest = page.__memwarden?.(object, name);
      if (endForGuest) return endForGuest;
      monitor.run(() => {
        population.recall(object);
        if (monitor.active()) population.add('object', name, () => ended, object);
      });
      // What tells the end is kept, and would keep alive all that is known here.
      object = 0 as never;
      return () => {
        ended = dirty = true;
      };
    },
    stop() {
      remove();
      // There may be a newer one.
      if (leakWatchOf(monitor) === watch) watches.delete(monitor);
    },
  };
  watches.set(monitor, watch);
  return watch;
}
