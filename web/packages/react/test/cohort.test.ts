// @vitest-environment node
import { describe, expect, test } from 'vitest';
import { batchAt, collected, defaultRules, judge, returned, type Batch, type Cohort, type Moment } from '../src/leaks/cohort';

const newCohort = (): Cohort => ({ kind: 'component', name: 'Row', owners: [], batches: [] });
const moment = (n: number): Moment => ({ at: n * 20_000, commits: n * 5, collections: n * 3 });
const later = moment(1_000);

function release(cohort: Cohort, n: number, count = 1): Batch {
  const batch = batchAt(cohort, moment(n));
  batch.released += count;
  batch.alive += count;
  return batch;
}

/** Releases one each round; keep says whether the one of a round still lives at a later round. */
function simulate(rounds: number, keeps: (released: number, now: number) => boolean) {
  const cohort = newCohort();
  let living: [round: number, batch: Batch][] = [];
  const reports: number[] = [];
  for (let round = 0; round < rounds; round++) {
    living.push([round, release(cohort, round)]);
    living = living.filter(([released, batch]) => keeps(released, round) || void collected(batch));
    if (judge(cohort, moment(round), defaultRules).leaking) reports.push(round);
  }
  return { cohort, reports, last: judge(cohort, moment(rounds + 5), defaultRules) };
}

describe('a leak', () => {
  test('of all is found after few rounds, and stays', () => {
    const { reports, last } = simulate(100, () => true);
    expect(reports[0]).toBeLessThanOrEqual(10);
    expect(reports).toHaveLength(100 - reports[0]!);
    expect(last).toEqual({ leaking: true, released: 100, survivors: 100 });
  });

  test('of one in five is found', () => {
    expect(simulate(100, (released) => released % 5 === 0).last).toEqual({ leaking: true, released: 100, survivors: 20 });
  });
});

describe('no leak', () => {
  test.each([
    ['all go', () => false],
    ['all go late', (released: number, now: number) => now - released < 8],
    ['the last four are kept', (released: number, now: number) => now - released < 4],
    ['the first ten are kept', (released: number) => released < 10],
    ['one is kept', (released: number) => released === 30],
  ])('%s', (_, keeps) => {
    expect(simulate(200, keeps).last.leaking).toBe(false);
  });

  test('a pool that fills up slowly is not blamed for long', () => {
    const { reports, last } = simulate(200, (released) => released < 20);
    expect(reports.length).toBeLessThan(40);
    expect(last.leaking).toBe(false);
  });
});

describe('a verdict waits', () => {
  const cohort = newCohort();
  for (let n = 0; n < 10; n++) release(cohort, n);
  const { at, commits, collections } = moment(9);
  const verdict = (now: Partial<Moment>) => judge(cohort, { ...later, ...now }, defaultRules).survivors;

  test('for age, commits and collections after the release', () => {
    expect(verdict({})).toBe(10);
    expect(verdict({ at: at + 9_999 })).toBe(9);
    expect(verdict({ commits: commits + 1 })).toBe(9);
    expect(verdict({ collections: collections + 1 })).toBe(9);
  });
});

test('one screen full of survivors is no verdict', () => {
  const cohort = newCohort();
  release(cohort, 0, 1_000);
  release(cohort, 1, 1_000);
  expect(judge(cohort, later, defaultRules)).toEqual({ leaking: false, released: 2_000, survivors: 2_000 });
});

test('the history is bounded, and its sums stay right', () => {
  const cohort = newCohort();
  const batches = Array.from({ length: 1_000 }, (_, n) => release(cohort, n));
  expect(cohort.batches.length).toBeLessThanOrEqual(32);
  batches.slice(0, 400).forEach(collected);
  returned(batches[500]!);
  expect(judge(cohort, moment(2_000), defaultRules)).toMatchObject({ released: 999, survivors: 599 });
});
