/** What the page has done so far, as far as it matters for what may still be alive. */
export interface Moment {
  /** Milliseconds of a monotonic clock. */
  readonly at: number;
  /** Changes that React, or anyone, made to the document. */
  readonly commits: number;
  /** Collections that canaries have shown. */
  readonly collections: number;
}

/** What was released between two looks. */
export interface Batch {
  readonly since: Moment;
  released: number;
  alive: number;
  /** Another batch that this one was joined to. */
  into?: Batch;
}

export type LeakKind = 'component' | 'dom' | 'object';

/** Everything of one kind and name: what is released from it should be collected, sooner or later. */
export interface Cohort {
  readonly kind: LeakKind;
  readonly name: string;
  /** The components above, the nearest first. */
  owners: readonly string[];
  batches: Batch[];
}

export interface Rules {
  /** How long something is given to go away; default 10,000 ms. */
  readonly minAgeMs: number;
  /** So many survivors at least are a leak; default 5. */
  readonly minSurvivors: number;
}

export const defaultRules: Rules = { minAgeMs: 10_000, minSurvivors: 5 };

/** React keeps what it has just removed until it commits again, in both of its trees. */
const commitsToWait = 2;
/** The first canary may have been dropped before the release; the second proves that a collection came after it. */
const collectionsToWait = 2;
/** Then neighbours are joined, so that a cohort's history is coarser and never longer. */
const maxBatches = 32;
/** So many releases apart at least: one screen full of survivors may have one cause that goes away. */
const minBatches = 3;

/** The batch of a release at this moment. */
export function batchAt(cohort: Cohort, now: Moment): Batch {
  const newest = cohort.batches.at(-1);
  if (newest && newest.since.at === now.at) return newest;
  if (cohort.batches.length >= maxBatches) join(cohort);
  const batch: Batch = { since: now, released: 0, alive: 0 };
  cohort.batches.push(batch);
  return batch;
}

function join(cohort: Cohort): void {
  cohort.batches = cohort.batches.filter((batch, i, all) => {
    const next = all[i + 1];
    if (i % 2 || !next) return true;
    next.released += batch.released;
    next.alive += batch.alive;
    batch.into = next;
    return false;
  });
}

/** The batch that now has what was released in the given one. */
function current(batch: Batch): Batch {
  return batch.into ? current(batch.into) : batch;
}

/** Takes one that was collected off its batch. */
export function collected(batch: Batch): void {
  current(batch).alive--;
}

/** Takes one that came back off its batch. */
export function returned(batch: Batch): void {
  current(batch).released--;
  collected(batch);
}

export interface Verdict {
  /** Whether survivors are many, and of releases early and late. */
  readonly leaking: boolean;
  readonly released: number;
  readonly survivors: number;
}

/**
 * Judges what had its time to go: released long enough ago, with commits and collections since. It leaks if some of the
 * older half of the releases survive and some of the newer half too. A cache that keeps the last few keeps none of the
 * older ones, one that is full takes none of the newer ones, and a lasting single survivor is somebody's last one.
 */
export function judge(cohort: Cohort, now: Moment, rules: Rules): Verdict {
  const ripe = cohort.batches.filter(
    ({ since }) =>
      now.at - since.at >= rules.minAgeMs &&
      now.commits - since.commits >= commitsToWait &&
      now.collections - since.collections >= collectionsToWait,
  );
  const released = ripe.reduce((sum, batch) => sum + batch.released, 0);
  let seen = 0;
  let survivors = 0;
  let older = 0;
  for (const { released: more, alive } of ripe) {
    seen += more;
    survivors += alive;
    if (seen <= released / 2) older += alive;
  }
  return {
    leaking: ripe.length >= minBatches && older >= 2 && survivors - older >= 2 && survivors >= rules.minSurvivors,
    released,
    survivors,
  };
}
