// @vitest-environment node
import { describe, expect, test } from 'vitest';
import { count, judge, type Cohort, type Moment } from '../src/leaks/cohort';

const newCohort = (): Cohort => ({ kind: 'component', name: 'Row', owners: [], batches: [] });
const moment = (n: number): Moment => ({ at: n * 20_000, commits: n * 5, collections: n * 3 });
const later = moment(1_000);

const release = (cohort: Cohort, n: number, many = 1) => count(cohort, moment(n), many, many);
const collected = (cohort: Cohort, n: number) => count(cohort, moment(n), 0, -1);
const returned = (cohort: Cohort, n: number) => count(cohort, moment(n), -1, -1);
const verdict = (released: number, survivors: number, leaking: boolean) => ({ kind: 'component', name: 'Row', owners: [], released, survivors, leaking });

/** Releases one each round; keep says whether the one of a round still lives at a later round. */
function simulate(rounds: number, keeps: (released: number, now: number) => boolean) {
  const cohort = newCohort();
  let living: number[] = [];
  const reports: number[] = [];
  for (let round = 0; round < rounds; round++) {
    release(cohort, round);
    living.push(round);
    living = living.filter((released) => keeps(released, round) || void collected(cohort, released));
    if (judge(cohort, moment(round), {}).leaking) reports.push(round);
  }
  return { cohort, reports, last: judge(cohort, moment(rounds + 5), {}) };
}

describe('a leak', () => {
  test('of all is found after few rounds, and stays', () => {
    const { reports, last } = simulate(100, () => true);
    expect(reports[0]).toBeLessThanOrEqual(10);
    expect(reports).toHaveLength(100 - reports[0]!);
    expect(last).toEqual(verdict(100, 100, true));
  });

  test('of all is found for as long as it goes on', () => {
    const { reports, last } = simulate(3_000, () => true);
    expect(reports).toHaveLength(3_000 - reports[0]!);
    expect(last).toEqual(verdict(3_000, 3_000, true));
  });

  test('of one in five is found', () => {
    expect(simulate(100, (released) => released % 5 === 0).last).toEqual(verdict(100, 20, true));
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
  const survivors = (now: Partial<Moment>) => judge(cohort, { ...later, ...now }, {}).survivors;

  test('for age, commits and collections after the release', () => {
    expect(survivors({})).toBe(10);
    expect(survivors({ at: at + 9_999 })).toBe(9);
    expect(survivors({ commits: commits + 1 })).toBe(9);
    expect(survivors({ collections: collections + 1 })).toBe(9);
  });
});

test('one screen full of survivors is no verdict', () => {
  const cohort = newCohort();
  release(cohort, 0, 1_000);
  release(cohort, 1, 1_000);
  expect(judge(cohort, later, {})).toEqual(verdict(2_000, 2_000, false));
});

test('the history is bounded, and its sums stay right', () => {
  const cohort = newCohort();
  for (let n = 0; n < 1_000; n++) release(cohort, n);
  expect(cohort.batches.length).toBeLessThanOrEqual(32);
  for (let n = 0; n < 400; n++) collected(cohort, n);
  returned(cohort, 500);
  expect(judge(cohort, moment(2_000), {})).toMatchObject({ released: 999, survivors: 599 });
});
