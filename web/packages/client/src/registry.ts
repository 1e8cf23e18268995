/** How many names of components are told apart; the rest is counted under `(other)`. */
export const maxComponents = 500;

/** What is known of the components of one name. It is live: read it, do not keep it. */
export interface ComponentRecord {
  readonly name: string;
  /** Commits that carried an instance, whatever React rendered and threw away before. */
  commits: number;
  /** Instances that were mounted at some time. */
  mounts: number;
  /** Instances that were removed, hidden ones too. */
  unmounts: number;
  /** Instances that are mounted now, and not hidden by an Activity; what a Suspense hides again still counts. */
  live: number;
  /** Commits that a Profiler timed, and how long they took, each from the beginning of its render: in all, and the longest. */
  timed: number;
  totalMs: number;
  longestMs: number;
}

/** Readings of records by their names. */
export type Components = Readonly<Record<string, Readonly<ComponentRecord>>>;

/** What has changed of figures since an earlier reading, at all levels. What is new stays as it is, and so does `longestMs`. */
export function since<Figures extends object>(now: Figures, was: Figures | undefined): Figures {
  const change = { ...now } as Record<string, unknown>;
  for (const key in was) {
    const value = change[key];
    const before: unknown = was[key];
    if (typeof value === 'object') change[key] = since(value!, before as object);
    if (typeof value === 'number' && key !== 'longestMs') (change[key] as number) -= (before as number | undefined) ?? 0;
  }
  return change as Figures;
}

/**
 * Of changes the components of which something changed, what grew most first, then what has the most commits. No mount is without a
 * commit.
 */
export function changesOf(change: { readonly components: Components }): ComponentRecord[] {
  return Object.values(change.components)
    .filter((one) => one.unmounts || one.live || one.commits || one.timed)
    .sort((a, b) => b.live - a.live || b.commits - a.commits);
}
