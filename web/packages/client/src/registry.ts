/** How many names of components are told apart; the rest is counted under `(other)`. */
export const maxComponents = 500;

/** What is known of the components of one name. It is live: read it, do not keep it. */
export interface ComponentRecord {
  readonly name: string;
  /** Commits that carried an instance, whatever React rendered and threw away before. */
  commits: number;
  /** Instances that were mounted at some time. */
  mounts: number;
  /** Instances that are mounted now. */
  live: number;
  /** Commits that a Profiler timed, what they took, and the longest. */
  timed: number;
  totalMs: number;
  longestMs: number;
}

/**
 * A mounted component. `commit` is called from an effect that runs after each commit, with something that is new for each
 * render, and returns the effect's cleanup. React runs effects twice in StrictMode, and again when it shows hidden
 * content: the same render counts once, and an instance that comes back is the same instance.
 */
export interface Instance {
  commit(render: unknown): () => void;
}

export interface Registry {
  record(name: string): ComponentRecord;
  records(): Iterable<ComponentRecord>;
}

export function createRegistry(): Registry {
  const records = new Map<string, ComponentRecord>();
  return {
    record(name) {
      if (!records.has(name) && records.size >= maxComponents) name = '(other)';
      let record = records.get(name);
      if (!record) {
        record = { name, commits: 0, mounts: 0, live: 0, timed: 0, totalMs: 0, longestMs: 0 };
        records.set(name, record);
      }
      return record;
    },
    records: () => records.values(),
  };
}

export function createInstance(record: ComponentRecord): Instance {
  let last: unknown;
  const release = () => {
    record.live--;
  };
  return {
    commit(render) {
      if (last === undefined) record.mounts++;
      if (last !== render) {
        last = render;
        record.commits++;
      }
      record.live++;
      return release;
    },
  };
}

/** What has changed since an earlier reading of the same record; all of it if there is none. `longestMs` stays as it is. */
export function since<T extends object>(now: T, was: T | undefined): T {
  const before = was as Record<string, number> | undefined;
  const change = Object.entries(now).map(([key, value]: [string, unknown]) => [
    key,
    before && typeof value === 'number' && key !== 'longestMs' ? value - before[key]! : value,
  ]);
  return Object.fromEntries(change) as T;
}

/** Adds what a Profiler measured of one commit. */
export function addTiming(record: ComponentRecord, ms: number): void {
  record.timed++;
  record.totalMs += ms;
  record.longestMs = Math.max(record.longestMs, ms);
}
