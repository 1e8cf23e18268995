import { count, type Cohort, type LeakKind, type Moment } from './cohort';

/** How many cohorts of each kind are told apart; what comes after is not looked at. */
const maxCohorts = 500;
/** How many are looked at while they are in use and waited for afterwards; a page that leaks so many is known to. */
export const maxMembers = 50_000;

/** Something that is in use, or was released and is waited for. */
interface Member {
  readonly cohort: Cohort;
  /** The object itself, or one of the two fibers that React has for one component; in use, each leads to the other. */
  readonly ref: WeakRef<object>;
  readonly ended: (object: never) => boolean;
  /** When it was released. */
  since?: Moment;
}

/**
 * Everything whose end is waited for. Nothing of it is kept alive: what is in use is known by weak references, and what was
 * released by a member that lives as long as its objects do, for which a FinalizationRegistry waits. So nothing is asked of
 * an object after its release: asking whether it still lives would make it live longer.
 */
export interface Population {
  cohorts(): Cohort[];
  /**
   * Begins to look at something, or at two objects that stand for one; tells its cohort, or nothing if it is looked at already,
   * there are too many, or it is no object, as a reference may be that is not filled yet.
   */
  add<T extends object>(kind: LeakKind, name: string, ended: (object: T) => boolean, object: T, twin?: T | null): Cohort | undefined;
  /** Takes it out, released or not. */
  recall(object: object): void;
  /** Looks at what is in use in steps: yields now and then, releases what has ended. */
  sweep(now: Moment): Generator<undefined, void>;
}

export function createPopulation(): Population {
  const known = new WeakMap<object, Member>();
  let size = 0;
  const cohorts: Partial<Record<LeakKind, Map<string, Cohort>>> = {};
  const inUse = new Set<Member>();
  const registry = new FinalizationRegistry<[Cohort, Moment]>(([cohort, since]) => {
    size--;
    count(cohort, since, 0, -1);
  });

  return {
    cohorts: () => Object.values(cohorts).flatMap((names) => [...names.values()]),
    add(kind, name, ended, object, twin) {
      const names = (cohorts[kind] ??= new Map<string, Cohort>());
      const cohort = names.get(name) ?? (names.size < maxCohorts && { kind, name, batches: [], owners: [] });
      if (!cohort || size >= maxMembers || object !== Object(object) || known.has(object) || known.has(twin!)) return undefined;
      size++;
      names.set(name, cohort);
      const member: Member = { ended, cohort, ref: new WeakRef(object) };
      inUse.add(member);
      known.set(object, member);
      if (twin) known.set(twin, member);
      return cohort;
    },
    recall(object) {
      const member = known.get(object);
      if (!member) return;
      size--;
      inUse.delete(member);
      known.delete(object);
      registry.unregister(member);
      if (member.since) count(member.cohort, member.since, -1, -1);
    },
    *sweep(now) {
      let i = 0;
      for (const member of inUse) {
        const { cohort, ref, ended } = member;
        const object = ref.deref();
        if (!object || ended(object as never)) {
          inUse.delete(member);
          member.since = now;
          count(cohort, now, 1, 1);
          registry.register(member, [cohort, now], member);
        }
        if (!(++i % 64)) yield;
      }
    },
  };
}
