import type { MemoryMonitor } from '@memwarden/client';
import { createCanary } from './canary';
import { defaultRules, judge, type LeakKind, type Moment, type Rules } from './cohort';
import { fiberOf, isCutOff, nameOf, ownersOf, type Fiber } from './fiber';
import { createPopulation } from './population';
import type { Holders } from './holders';

/** What became of everything of one kind and name that was released long enough ago. */
export interface Released {
  /** What survives: components, elements that were removed, or objects given to `track`. */
  readonly kind: LeakKind;
  /** The component, the component around the removed element or else its tag, or the name given to `track`. */
  readonly name: string;
  /** The components above, the nearest first. */
  readonly owners: readonly string[];
  readonly released: number;
  readonly survivors: number;
  readonly leaking: boolean;
}

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
  /** Something that is in use now; the returned function tells that it should go. To track it again takes that back. */
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
/** How many elements and fibers are looked at in one go when they come; the others wait for an idle moment. */
const eager = 200;
/** How many of each wait at most; what comes beyond is not looked at. */
const maxWaiting = 20_000;
const maxOwners = 6;

const watches = new WeakMap<MemoryMonitor, LeakWatch>();

/** The watch of a monitor. */
export function leakWatchOf(monitor: MemoryMonitor | undefined): LeakWatch | undefined {
  return watches.get(monitor!);
}

/** Calls back when the browser has nothing else to do, in two seconds at the latest; where it does not tell, soon. */
function whenIdle(task: () => void): void {
  (globalThis.requestIdleCallback ?? setTimeout)(task, { timeout: 2_000 } as never);
}

/**
 * Watches for components, removed elements and tracked objects that are not collected although they should be. Components
 * are found by the elements that React makes; where React's marks are missing, elements and tracked objects remain.
 */
export function watchLeaks(monitor: MemoryMonitor, options: LeakOptions = {}): LeakWatch {
  const { sweepMs = 5_000, onLeak, holders: book } = options;
  const rules = { ...defaultRules, ...options };
  const population = createPopulation();
  const canary = createCanary();
  const seen = new WeakSet<Fiber>();
  /** The component that an element belongs to; React forgets it when it removes the element. */
  const componentOf = new WeakMap<Node, string>();
  let commits = 0;
  let dirty = false;
  /** What is to be looked at, with all that is below it. */
  let waiting: (Element | Fiber)[] = [];
  let removed: { node: WeakRef<Element>; name: string }[] = [];
  let leaks: readonly LeakReport[] = [];
  let judged: readonly Released[] = [];
  const told = new Map<string, number>();

  const moment = (): Moment => ({ at: performance.now(), commits, collections: canary.collections() });

  const wait = (next: Element | Fiber | null) => {
    if (next && waiting.length < maxWaiting) waiting.push(next);
  };

  /** Whether a fiber, or the other one of its component, has been looked at. */
  const isSeen = (fiber: Fiber) => seen.has(fiber) || seen.has(fiber.alternate!);

  const adopt = (fiber: Fiber) => {
    seen.add(fiber);
    const name = nameOf(fiber.type);
    const cohort = name && population.cohort('component', name, () => ownersOf(fiber, maxOwners));
    if (cohort) population.add(cohort, fiber, fiber.alternate);
  };

  const explore = (more: () => boolean) => {
    while (waiting.length && more()) {
      const next = waiting.pop()!;
      if (next instanceof Element) {
        arrive(next);
      } else {
        if (!isSeen(next)) adopt(next);
        wait(next.sibling);
        wait(next.child);
      }
    }
  };

  const arrive = (element: Element) => {
    population.recall(element);
    const fiber = fiberOf(element);
    if (!fiber) {
      // React did not make it, but may have made what is in it.
      for (const child of element.children) wait(child);
      return;
    }
    const [name] = ownersOf(fiber, 1);
    if (name) {
      componentOf.set(element, name);
      // What holds React's elements and is none itself, as the container of a portal, belongs to who put them there.
      const around = element.parentNode;
      if (around && around !== document.body && !fiberOf(around) && !componentOf.has(around)) componentOf.set(around, name);
    }
    for (let above: Fiber | null = fiber; above && !isSeen(above); above = above.return) adopt(above);
    wait(fiber.child);
  };

  /** The component that a node, or else what is around it, belongs to. */
  const belongsTo = (node: Node | null): string | undefined => {
    if (!node) return undefined;
    const fiber = fiberOf(node);
    return componentOf.get(node) ?? (fiber && ownersOf(fiber, 1)[0]) ?? belongsTo(node.parentNode);
  };

  const depart = (element: Element, from: Node) => {
    if (removed.length >= maxWaiting) return;
    removed.push({ node: new WeakRef(element), name: belongsTo(element) ?? belongsTo(from) ?? `<${element.localName}>` });
  };

  const onMutations = (records: readonly MutationRecord[]) => {
    commits++;
    monitor.run(() => {
      for (const { addedNodes, removedNodes, target } of records) {
        for (const node of addedNodes) if (node instanceof Element) wait(node);
        for (const node of removedNodes) if (node instanceof Element) depart(node, target);
        dirty ||= removedNodes.length > 0;
      }
      let left = eager;
      explore(() => left-- > 0);
    });
  };

  /** One look at all there is, in steps. */
  function* sweep(): Generator<undefined, void> {
    const now = moment();
    if (dirty) {
      dirty = false;
      for (const { node, name } of removed.splice(0)) {
        const element = node.deref();
        const cohort = population.cohort('dom', name);
        if (element && !element.isConnected && cohort && !population.recall(element)) {
          population.release(cohort, element, undefined, now);
        }
        yield;
      }
      yield* population.sweep(now, (object) => isCutOff(object as Fiber));
    }
    canary.step();
    tell(now);
  }

  const tell = (now: Moment) => {
    judged = [...population.cohorts()].map((cohort) => {
      const { kind, name, owners } = cohort;
      return { kind, name, owners, ...judge(cohort, now, rules) };
    });
    leaks = judged
      .filter(({ leaking }) => leaking)
      .map((one) => ({ ...one, holders: book?.grownBy(one.survivors, one.name) ?? [] }))
      .sort((a, b) => b.survivors - a.survivors);
    for (const leak of leaks) {
      const key = leak.kind + ' ' + leak.name;
      if (leak.survivors < 2 * (told.get(key) ?? 0)) continue;
      told.set(key, leak.survivors);
      monitor.report('leak', { ...leak, what: leak.kind, leaking: undefined });
      onLeak?.(leak);
    }
  };

  const start = () => {
    const root = options.root ?? document;
    const observer = new MutationObserver(onMutations);
    observer.observe(root, { childList: true, subtree: true });
    book?.start();
    let current: Generator<undefined, void> | undefined;
    let planned = false;
    let stopped = false;
    const slice = () => {
      planned = false;
      if (stopped) return;
      monitor.run(() => {
        const until = performance.now() + sliceMs;
        const more = () => performance.now() < until;
        explore(more);
        if (!waiting.length) current ??= sweep();
        while (current && more()) if (current.next().done) current = undefined;
      });
      if (current || waiting.length) plan();
    };
    const plan = () => {
      if (!planned) whenIdle(slice);
      planned = true;
    };
    const timer = setInterval(plan, sweepMs);
    waiting.push(...root.children);
    plan();
    return () => {
      stopped = true;
      observer.disconnect();
      clearInterval(timer);
      book?.stop();
      waiting = [];
      removed = [];
    };
  };

  const remove = monitor.sampled ? monitor.addPart(start) : () => undefined;
  const watch: LeakWatch = {
    track(object, name) {
      population.recall(object);
      let ref = monitor.sampled ? new WeakRef(object) : undefined;
      return () => {
        const released = ref?.deref();
        ref = undefined;
        const cohort = released && population.cohort('object', name);
        if (cohort) population.release(cohort, released, undefined, moment());
      };
    },
    leaks: () => leaks,
    released: () => judged,
    sweep() {
      dirty = true;
      explore(() => true);
      for (const step of sweep()) void step;
    },
    stop() {
      watches.delete(monitor);
      remove();
    },
  };
  watches.set(monitor, watch);
  return watch;
}
