import type { MemoryMonitor } from '@memwarden/client';
import { createCanary } from './canary';
import { defaultRules, judge, type LeakKind, type Moment, type Rules } from './cohort';
import { fiberOf, isCutOff, nameOf, ownersOf, type Fiber } from './fiber';
import { tellGuest } from './guest';
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
  /** What grew by about as many as survive, and so probably holds them; only with `keepHolders()`. */
  readonly holders: readonly string[];
}

export interface LeakOptions extends Partial<Rules> {
  /** How often ended components are looked for; default 5,000 ms. */
  readonly sweepMs?: number;
  /** Where the page is watched; default the document. */
  readonly root?: ParentNode;
  /** Bookkeeping of listeners and timers: `keepHolders()`. */
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
const sliceMs = 1.5;
/** How many elements and fibers are looked at in one go when they come; the others wait for an idle moment. */
const eager = 200;
/** How many of each wait at most; what comes beyond is not looked at. */
const maxWaiting = 20_000;
const maxOwners = 6;

const watches = new WeakMap<MemoryMonitor, LeakWatch>();

/** The watch of a monitor. */
export function leakWatchOf(monitor: MemoryMonitor | undefined): LeakWatch | undefined {
  return monitor && watches.get(monitor);
}

/** A moment when the browser has nothing to do; where it does not tell, soon. */
function whenIdle(task: () => void): () => void {
  if ('requestIdleCallback' in globalThis) {
    const id = requestIdleCallback(task, { timeout: 2_000 });
    return () => cancelIdleCallback(id);
  }
  const id = setTimeout(task, 50);
  return () => clearTimeout(id);
}

/**
 * Watches for components, removed elements and tracked objects that are not collected although they should be. Components
 * are found by the elements that React makes; where React's marks are missing, elements and tracked objects remain.
 */
export function watchLeaks(monitor: MemoryMonitor, options: LeakOptions = {}): LeakWatch {
  const { sweepMs = 5_000, onLeak, holders: book } = options;
  const rules: Rules = {
    minAgeMs: options.minAgeMs ?? defaultRules.minAgeMs,
    minSurvivors: options.minSurvivors ?? defaultRules.minSurvivors,
  };
  const population = createPopulation();
  const canary = createCanary();
  const seen = new WeakSet<Fiber>();
  /** The component that an element belongs to; React forgets it when it removes the element. */
  const componentOf = new WeakMap<Node, string>();
  let commits = 0;
  let dirty = false;
  let waiting: Fiber[] = [];
  /** Elements that React did not make, but may have made what is in them. */
  let unknown: Element[] = [];
  let removed: { node: WeakRef<Element>; name: string }[] = [];
  let leaks: readonly LeakReport[] = [];
  let judged: readonly Released[] = [];
  const told = new Map<string, number>();

  const moment = (): Moment => ({ at: performance.now(), commits, collections: canary.collections() });

  const adopt = (fiber: Fiber) => {
    seen.add(fiber);
    const name = nameOf(fiber.type);
    if (!name) return;
    const cohort = population.cohort('component', name, () => ownersOf(fiber, maxOwners));
    if (cohort) population.add(cohort, fiber, fiber.alternate);
  };

  const isSeen = (fiber: Fiber) => seen.has(fiber) || (fiber.alternate !== null && seen.has(fiber.alternate));

  /** Looks at the elements and fibers that wait, and what is below them, until `more` says no. */
  const explore = (more: () => boolean) => {
    while (unknown.length && more()) arrive(unknown.pop()!);
    while (waiting.length && more()) {
      const fiber = waiting.pop()!;
      if (!isSeen(fiber)) adopt(fiber);
      if (fiber.sibling && waiting.length < maxWaiting) waiting.push(fiber.sibling);
      if (fiber.child && waiting.length < maxWaiting) waiting.push(fiber.child);
    }
  };

  const nearestName = (fiber: Fiber | null | undefined): string | undefined => {
    for (; fiber; fiber = fiber.return) {
      const name = nameOf(fiber.type);
      if (name) return name;
    }
    return undefined;
  };

  const arrive = (element: Element) => {
    population.recall(element);
    const fiber = fiberOf(element);
    if (!fiber) {
      for (const child of element.children) if (unknown.length < maxWaiting) unknown.push(child);
      return;
    }
    const name = nearestName(fiber.return);
    if (name) {
      componentOf.set(element, name);
      // What holds React's elements and is none itself, as the container of a portal, belongs to who put them there.
      const around = element.parentNode;
      if (around && around !== document.body && !fiberOf(around) && !componentOf.has(around)) componentOf.set(around, name);
    }
    for (let above = fiber.return; above && !isSeen(above); above = above.return) adopt(above);
    seen.add(fiber);
    if (fiber.child && waiting.length < maxWaiting) waiting.push(fiber.child);
  };

  const depart = (element: Element, from: Node) => {
    let name = componentOf.get(element) ?? nearestName(fiberOf(element)?.return);
    for (let node: Node | null = from; !name && node; node = node.parentNode) {
      name = componentOf.get(node) ?? nearestName(fiberOf(node)?.return);
    }
    if (removed.length < maxWaiting) removed.push({ node: new WeakRef(element), name: name ?? `<${element.localName}>` });
  };

  const onMutations = (records: readonly MutationRecord[]) => {
    commits++;
    monitor.run(() => {
      for (const { addedNodes, removedNodes, target } of records) {
        for (const node of addedNodes) if (node instanceof Element) arrive(node);
        for (const node of removedNodes) if (node instanceof Element) depart(node, target);
        dirty ||= removedNodes.length > 0;
      }
      let left = eager;
      explore(() => left-- > 0);
    });
  };

  function* work(): Generator<undefined, void> {
    explore(() => true);
    const now = moment();
    if (dirty) {
      dirty = false;
      const gone = removed;
      removed = [];
      for (const { node, name } of gone) {
        const element = node.deref();
        const cohort = population.cohort('dom', name, () => []);
        if (element && !element.isConnected && cohort && !population.recall(element)) {
          population.release(cohort, element, undefined, now);
        }
      }
      yield;
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
      const { kind, name, owners, released, survivors, holders } = leak;
      const key = kind + ' ' + name;
      if (survivors < 2 * (told.get(key) ?? 0)) continue;
      told.set(key, survivors);
      monitor.report('leak', { what: kind, name, owners, released, survivors, holders });
      onLeak?.(leak);
    }
  };

  const start = () => {
    const root = options.root ?? document;
    const observer = new MutationObserver(onMutations);
    observer.observe(root, { childList: true, subtree: true });
    book?.start();
    let current: Generator<undefined, void> | undefined;
    let cancel = whenIdle(() => {
      unknown.push(...root.children);
      slice();
    });
    const slice = () => {
      let done = false;
      monitor.run(() => {
        const until = performance.now() + sliceMs;
        explore(() => performance.now() < until);
        current ??= unknown.length + waiting.length ? undefined : work();
        while (current && !done && performance.now() < until) done = current.next().done === true;
      });
      if (done) current = undefined;
      if (current || unknown.length + waiting.length) cancel = whenIdle(slice);
    };
    const timer = setInterval(() => {
      if (!current) cancel = whenIdle(slice);
    }, sweepMs);
    return () => {
      observer.disconnect();
      clearInterval(timer);
      cancel();
      book?.stop();
      waiting = [];
      unknown = [];
      removed = [];
    };
  };

  const remove = monitor.sampled ? monitor.addPart(start) : () => undefined;
  const watch: LeakWatch = {
    track(object, name) {
      const endForGuest = tellGuest(object, name);
      if (endForGuest) return endForGuest;
      population.recall(object);
      let ref = monitor.sampled ? new WeakRef(object) : undefined;
      return () => {
        const released = ref?.deref();
        ref = undefined;
        const cohort = released && population.cohort('object', name, () => []);
        if (cohort) population.release(cohort, released, undefined, moment());
      };
    },
    leaks: () => leaks,
    released: () => judged,
    sweep() {
      dirty = true;
      for (const step of work()) void step;
    },
    stop() {
      watches.delete(monitor);
      remove();
    },
  };
  watches.set(monitor, watch);
  return watch;
}
