// @vitest-environment node
import { describe, expect, test } from 'vitest';
import type { Cohort, Moment } from '../src/leaks/cohort';
import { createPopulation, maxAwaited, maxMembers, type Population } from '../src/leaks/population';
import { collect } from './collect';

const moment = (n: number): Moment => ({ at: n, commits: n, collections: n });
const noOwners = () => [];
const rows = (population: Population) => population.cohort('component', 'Row', noOwners)!;

/** What was released of a cohort, and how much of it lives. */
const sums = ({ batches }: Cohort) => ({
  released: batches.reduce((sum, batch) => sum + batch.released, 0),
  alive: batches.reduce((sum, batch) => sum + batch.alive, 0),
});

const some = (count: number) => Array.from({ length: count }, (_, i) => ({ i }));

/** A function of its own: the variable of a loop would hold the last one for as long as the test runs. */
function addAll(population: Population, cohort: Cohort, objects: readonly object[]): void {
  for (const object of objects) population.add(cohort, object);
}

function sweep(population: Population, n: number, hasEnded: (object: object) => boolean): number {
  let steps = 0;
  for (const step of population.sweep(moment(n), hasEnded)) steps += step === undefined ? 1 : 0;
  return steps;
}

test('those that have ended are released, and counted until they are collected', async () => {
  const population = createPopulation();
  const cohort = rows(population);
  const kept = some(3);
  const others = some(10);
  addAll(population, cohort, kept);
  addAll(population, cohort, others);
  expect(population.size).toBe(13);

  sweep(population, 1, () => false);
  expect(population.size).toBe(13);
  sweep(population, 2, (row) => (row as { i: number }).i >= 1);
  expect(population.size).toBe(2);
  expect(sums(cohort)).toEqual({ released: 11, alive: 11 });

  others.length = 0;
  await collect();
  expect(sums(cohort)).toEqual({ released: 11, alive: 2 });
  expect(kept).toHaveLength(3);
});

test('nothing is kept alive, and what goes between two sweeps counts as released', async () => {
  const population = createPopulation();
  const cohort = rows(population);
  addAll(population, cohort, some(5));
  await collect();
  sweep(population, 1, () => false);
  expect(population.size).toBe(0);
  expect(sums(cohort)).toEqual({ released: 5, alive: 0 });
});

describe('one component with two fibers', () => {
  test('is one release, and lives as long as one of them does', async () => {
    const population = createPopulation();
    const cohort = rows(population);
    const fibers = some(2);
    population.add(cohort, fibers[0]!, fibers[1]);
    sweep(population, 1, () => true);
    expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
    fibers.pop();
    await collect();
    expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
    expect(fibers).toHaveLength(1);
    fibers.pop();
    await collect();
    expect(sums(cohort)).toEqual({ released: 1, alive: 0 });
  });

  test('is looked at by the one that is left', async () => {
    const population = createPopulation();
    const cohort = rows(population);
    const fibers = some(2);
    population.add(cohort, fibers[1]!, fibers[0]);
    fibers.pop();
    await collect();
    sweep(population, 1, () => false);
    expect(population.size).toBe(1);
    sweep(population, 2, () => true);
    expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
    expect(fibers).toHaveLength(1);
  });
});

test('what comes back is released no longer, and its end counts anew', async () => {
  const population = createPopulation();
  const cohort = rows(population);
  const canvas = some(1);
  expect(population.recall(canvas[0]!)).toBe(false);
  population.release(cohort, canvas[0]!, undefined, moment(1));
  expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
  expect(population.recall(canvas[0]!)).toBe(true);
  expect(sums(cohort)).toEqual({ released: 0, alive: 0 });
  population.release(cohort, canvas[0]!, undefined, moment(2));
  expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
  canvas.pop();
  await collect();
  expect(sums(cohort)).toEqual({ released: 1, alive: 0 });
});

test('names are told apart by kind, and their owners asked for once', () => {
  const population = createPopulation();
  const first = population.cohort('component', 'Row', () => ['List', 'Page']);
  expect(population.cohort('component', 'Row', () => ['Other'])).toBe(first);
  expect(first).toMatchObject({ kind: 'component', name: 'Row', owners: ['List', 'Page'] });
  expect(population.cohort('dom', 'Row', noOwners)).not.toBe(first);
  expect([...population.cohorts()]).toHaveLength(2);
});

test('of each kind 500 names are looked at', () => {
  const population = createPopulation();
  for (let i = 0; i < 600; i++) population.cohort('object', 'object ' + i, noOwners);
  expect([...population.cohorts()]).toHaveLength(500);
  expect(population.cohort('object', 'object 599', noOwners)).toBeUndefined();
  expect(population.cohort('object', 'object 499', noOwners)).toBeDefined();
  expect(population.cohort('dom', 'object 599', noOwners)).toBeDefined();
});

test('so many members are looked at, and a sweep over them can be left at any time', () => {
  const population = createPopulation();
  const cohort = rows(population);
  const all = some(maxMembers + 1_000);
  addAll(population, cohort, all);
  expect(population.size).toBe(maxMembers);
  expect(sweep(population, 1, () => false)).toBeGreaterThanOrEqual(maxMembers / 64);
  expect(all).toHaveLength(maxMembers + 1_000);
});

test('owners are those of the first that has some', () => {
  const population = createPopulation();
  for (const owners of [[], ['List', 'App'], ['Other']]) population.cohort('component', 'Row', () => owners);
  expect([...population.cohorts()]).toEqual([{ kind: 'component', name: 'Row', owners: ['List', 'App'], batches: [] }]);
});

test('so many that were released are waited for, and more when some have gone', async () => {
  const population = createPopulation();
  const cohort = rows(population);
  const kept = some(maxAwaited - 5);
  const others = some(10);
  for (const object of [...kept, ...others]) population.release(cohort, object, undefined, moment(1));
  expect(sums(cohort)).toEqual({ released: maxAwaited, alive: maxAwaited });
  others.length = 0;
  await collect();
  expect(sums(cohort)).toEqual({ released: maxAwaited, alive: kept.length });
  expect(population.recall(kept[0]!)).toBe(true);
  for (const object of some(10)) population.release(cohort, object, undefined, moment(2));
  expect(sums(cohort).alive).toBe(maxAwaited);
});
