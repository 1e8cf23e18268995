import { batchAt, collected, returned, type Batch, type Cohort, type LeakKind, type Moment } from './cohort';

/** How many cohorts of each kind are told apart; what comes after is not looked at. */
const maxCohorts = 500;
/** How many mounted components are looked at; what is mounted beyond is not. */
export const maxMembers = 50_000;
/** How many that were released are waited for; those beyond are not counted. A page that leaks so many is known to. */
export const maxAwaited = 50_000;

/** Something released: one count in its batch, however many objects stand for it. */
interface Release {
  readonly batch: Batch;
  objects: number;
}

/** Something that is in use. Another object may stand for it too, as React has two fibers for one component. */
interface Member {
  readonly cohort: Cohort;
  readonly ref: WeakRef<object>;
  readonly twin: WeakRef<object> | undefined;
}

/**
 * Everything whose end is waited for. Nothing of it is kept alive: what is in use is known by weak references, what was
 * released by its batch alone, which a FinalizationRegistry counts down. So nothing is asked of an object after its
 * release: asking whether it still lives would make it live longer.
 */
export interface Population {
  cohort(kind: LeakKind, name: string, owners?: () => readonly string[]): Cohort | undefined;
  cohorts(): Iterable<Cohort>;
  add(cohort: Cohort, object: object, twin?: object | null): void;
  release(cohort: Cohort, object: object, twin: object | undefined, now: Moment): void;
  /** Takes a release back: the object is in use again. */
  recall(object: object): boolean;
  /** Looks at the members in steps: yields now and then, releases those that have ended. */
  sweep(now: Moment, hasEnded: (object: object) => boolean): Generator<undefined, void>;
  readonly size: number;
}

export function createPopulation(): Population {
  const cohorts = new Map<string, Cohort>();
  const counts: Partial<Record<LeakKind, number>> = {};
  const members: Member[] = [];
  const releases = new WeakMap<object, Release>();
  let awaited = 0;
  const registry = new FinalizationRegistry<Release>((release) => {
    if (--release.objects) return;
    awaited--;
    collected(release.batch);
  });

  const release = (cohort: Cohort, object: object, twin: object | undefined, now: Moment) => {
    if (awaited >= maxAwaited) return;
    awaited++;
    const batch = batchAt(cohort, now);
    const one: Release = { batch, objects: twin ? 2 : 1 };
    batch.released++;
    batch.alive++;
    for (const each of twin ? [object, twin] : [object]) {
      releases.set(each, one);
      registry.register(each, one, each);
    }
  };

  return {
    get size() {
      return members.length;
    },
    cohort(kind, name, owners) {
      const key = kind + ' ' + name;
      let cohort = cohorts.get(key);
      if (!cohort && (counts[kind] ?? 0) < maxCohorts) {
        counts[kind] = (counts[kind] ?? 0) + 1;
        cohort = { kind, name, owners: [], batches: [] };
        cohorts.set(key, cohort);
      }
      // React forgets the owners of what it removes: one that has gone when it is looked at has none.
      if (cohort && !cohort.owners.length && owners) cohort.owners = owners();
      return cohort;
    },
    cohorts: () => cohorts.values(),
    add(cohort, object, twin) {
      if (members.length >= maxMembers) return;
      members.push({ cohort, ref: new WeakRef(object), twin: twin ? new WeakRef(twin) : undefined });
    },
    release,
    recall(object) {
      const one = releases.get(object);
      if (!one) return false;
      releases.delete(object);
      registry.unregister(object);
      awaited--;
      returned(one.batch);
      return true;
    },
    *sweep(now, hasEnded) {
      for (let i = members.length - 1; i >= 0; i--) {
        const { cohort, ref, twin } = members[i]!;
        const object = ref.deref();
        const other = twin?.deref();
        const known = object ?? other;
        if (!known || hasEnded(known)) {
          if (known) release(cohort, known, object && other, now);
          else batchAt(cohort, now).released++; // it ended and went between two sweeps
          members[i] = members.at(-1)!;
          members.pop();
        }
        if (i % 64 === 0) yield;
      }
    },
  };
}
