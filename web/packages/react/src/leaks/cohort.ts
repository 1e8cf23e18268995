/** What the page has done so far, as far as it matters for what may still be alive. */
export interface Moment {
  /** Milliseconds of a monotonic clock. */
  readonly at: number;
  /** Changes that React, or anyone, made to the document. */
  readonly commits: number;
  /** Collections that canaries have shown. */
  readonly collections: number;
}

/** What was released at a moment, or since the batch before if that was joined to it. */
export interface Batch extends Moment {
  released: number;
  alive: number;
}

export type LeakKind = 'component' | 'dom' | 'object';

/** Everything of one kind and name: what is released from it should be collected, sooner or later. */
export interface Cohort {
  readonly kind: LeakKind;
  readonly name: string;
  /** The components above, the nearest first. */
  owners: readonly string[];
  readonly batches: Batch[];
}

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

export interface Rules {
  /** How long something is given to go away; default 10,000 ms. */
  readonly minAgeMs: number;
  /** So many survivors at least are a leak, four in any case: two of the older releases and two of the newer; default 5. */
  readonly minSurvivors: number;
}

/** React keeps what it has just removed until it commits again, in both of its trees. */
const commitsToWait = 2;
/** The first canary may have been dropped before the release; the second proves that a collection came after it. */
const collectionsToWait = 2;
/** Then the smallest is joined to the next, so that a cohort's history is coarser and never longer. */
const maxBatches = 32;
/** So many releases apart at least: one screen full of survivors may have one cause that goes away. */
const minBatches = 3;

/** Counts for the batch of a moment, or for the one that it was joined to. */
export function count(cohort: Cohort, moment: Moment, released: number, alive: number): void {
  const { batches } = cohort;
  const batch = batches.find(({ at }) => at >= moment.at);
  if (batch) {
    batch.alive += alive;
    batch.released += released;
  } else batches.push({ ...moment, released, alive });
  if (batches.length <= maxBatches) return;
  // The newest stay as they are: joined to what comes after them all the time they would never have had theirs.
  const [least] = batches.slice(0, -2).sort((a, b) => a.released - b.released) as [Batch];
  batches.splice(batches.indexOf(least), 1);
  count(cohort, least, least.released, least.alive);
}

/**
 * Judges what had its time to go: released long enough ago, with commits and collections since. It leaks if some of the
 * older half of the releases survive and some of the newer half too. A cache that keeps the last few keeps none of the
 * older ones, one that is full takes none of the newer ones, and a lasting single survivor is somebody's last one.
 */
export function judge(cohort: Cohort, now: Moment, { minAgeMs = 10_000, minSurvivors = 5 }: Partial<Rules>): Released {
  const { batches, ...what } = cohort;
  const ripe = batches.filter(
    ({ at, commits, collections }) =>
      now.commits - commits >= commitsToWait && now.collections - collections >= collectionsToWait && now.at - at >= minAgeMs,
  );
  let released = 0;
  for (const batch of ripe) released += batch.released;
  let half = released / 2;
  let survivors = 0;
  let older = 0;
  for (const batch of ripe) {
    survivors += batch.alive;
    if ((half -= batch.released) >= 0) older = survivors;
  }
  return {
    ...what,
    survivors,
    released,
    leaking: older >= 2 && ripe.length >= minBatches && survivors - older >= 2 && survivors >= minSurvivors,
  };
}
