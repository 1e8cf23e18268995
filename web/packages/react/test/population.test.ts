// @vitest-environment node
import { describe, expect, test } from 'vitest';
import type { Cohort, Moment } from '../src/leaks/cohort';
import { createPopulation, maxMembers, type Population } from '../src/leaks/population';
import { collect } from './collect';

const moment = (n: number): Moment => ({ at: n, commits: n, collections: n });

/** What was released of a cohort, and how much of it lives. */
const sums = ({ batches }: Cohort) => ({
  released: batches.reduce((sum, batch) => sum + batch.released, 0),
  alive: batches.reduce((sum, batch) => sum + batch.alive, 0),
});

const some = (count: number) => Array.from({ length: count }, (_, i) => ({ i }));

/** What the sweep under way thinks of those it looks at, and how many these are. */
let hasEnded: (object: object) => boolean;
let asked: number;

const add = (population: Population, object: object, twin?: object) =>
  population.add('component', 'Row', (one: object) => (asked++, hasEnded(one)), object, twin);

/** A function of its own: the variable of a loop would hold the last one for as long as the test runs. */
function addAll(population: Population, objects: readonly object[]): Cohort {
  for (const object of objects) add(population, object);
  return population.cohorts()[0]!;
}

/** Tells how many it has looked at, and in how many steps. */
function sweep(population: Population, n: number, ended: (object: object) => boolean): { asked: number; steps: number } {
  let steps = 0;
  asked = 0;
  hasEnded = ended;
  for (const step of population.sweep(moment(n))) steps += step === undefined ? 1 : 0;
  return { asked, steps };
}

/** Collects until the engine has told of all but so many; it may need a few more turns, the more the busier the machine is. */
async function toldOf(cohort: Cohort, alive: number): Promise<void> {
  for (let i = 0; i < 10 && sums(cohort).alive > alive; i++) await collect();
}

const size = (population: Population, n: number) => sweep(population, n, () => false).asked;

test('those that have ended are released, and counted until they are collected', async () => {
  const population = createPopulation();
  const kept = some(3);
  const others = some(10);
  addAll(population, kept);
  const cohort = addAll(population, others);
  expect(size(population, 1)).toBe(13);

  expect(sweep(population, 2, (row) => (row as { i: number }).i >= 1).asked).toBe(13);
  expect(size(population, 2)).toBe(2);
  expect(sums(cohort)).toEqual({ released: 11, alive: 11 });

  others.length = 0;
  await toldOf(cohort, 2);
  expect(sums(cohort)).toEqual({ released: 11, alive: 2 });
  expect(kept).toHaveLength(3);
});

test('nothing is kept alive, and what goes between two sweeps counts as released', async () => {
  const population = createPopulation();
  const cohort = addAll(population, some(5));
  await collect();
  expect(size(population, 1)).toBe(0);
  await toldOf(cohort, 0);
  expect(sums(cohort)).toEqual({ released: 5, alive: 0 });
});

describe('one component with two fibers', () => {
  interface Twin {
    alternate?: Twin;
  }
  /** While they are in use each leads to the other, as React's do. */
  const twins = (): Twin[] => {
    const fibers: [Twin, Twin] = [{}, {}];
    [fibers[0].alternate, fibers[1].alternate] = [fibers[1], fibers[0]];
    return fibers;
  };
  const end = (fiber: Twin | undefined) => {
    if (fiber) delete fiber.alternate;
  };

  test('is one release, and lives as long as one of them does', async () => {
    const population = createPopulation();
    const fibers = twins();
    const cohort = add(population, fibers[0]!, fibers[1])!;
    fibers.forEach(end);
    sweep(population, 1, () => true);
    expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
    fibers.pop();
    await collect();
    expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
    expect(fibers).toHaveLength(1);
    fibers.pop();
    await toldOf(cohort, 0);
    expect(sums(cohort)).toEqual({ released: 1, alive: 0 });
  });

  test('is looked at by the one that is left', async () => {
    const population = createPopulation();
    const fibers = twins();
    const cohort = add(population, fibers[1]!, fibers[0])!;
    fibers.pop();
    await collect();
    expect(size(population, 1)).toBe(1);
    sweep(population, 2, () => true);
    expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
    expect(fibers).toHaveLength(1);
  });

  test('counts as alive by the other where the one that is looked at has gone between two sweeps', async () => {
    const population = createPopulation();
    const fibers = twins();
    // A function of its own: what a test has handled it may hold.
    const addAndDrop = () => {
      const cohort = add(population, fibers[1]!, fibers[0])!;
      fibers.forEach(end);
      fibers.length = 1;
      return cohort;
    };
    const cohort = addAndDrop();
    await collect();
    expect(size(population, 1)).toBe(0);
    await collect();
    expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
    fibers.length = 0;
    await toldOf(cohort, 0);
    expect(sums(cohort)).toEqual({ released: 1, alive: 0 });
  });
});

test('what comes back is released no longer, and its end counts anew', async () => {
  const population = createPopulation();
  const canvas = some(1);
  population.recall(canvas[0]!);
  const cohort = addAll(population, canvas);
  sweep(population, 1, () => true);
  expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
  population.recall(canvas[0]!);
  expect(sums(cohort)).toEqual({ released: 0, alive: 0 });
  addAll(population, canvas);
  sweep(population, 2, () => true);
  expect(sums(cohort)).toEqual({ released: 1, alive: 1 });
  canvas.pop();
  await toldOf(cohort, 0);
  expect(sums(cohort)).toEqual({ released: 1, alive: 0 });
});

test('what is taken out before it was released does not count', () => {
  const population = createPopulation();
  const canvas = some(1);
  const cohort = addAll(population, canvas);
  expect(add(population, canvas[0]!)).toBeUndefined();
  expect(add(population, {}, canvas[0])).toBeUndefined();
  population.recall(canvas[0]!);
  expect(sweep(population, 1, () => true).asked).toBe(0);
  expect(sums(cohort)).toEqual({ released: 0, alive: 0 });
});

test('names are told apart by kind', () => {
  const population = createPopulation();
  const first = population.add('component', 'Row', () => false, {});
  expect(population.add('component', 'Row', () => false, {})).toBe(first);
  expect(first).toEqual({ kind: 'component', name: 'Row', owners: [], batches: [] });
  expect(population.add('dom', 'Row', () => false, {})).not.toBe(first);
  expect(population.cohorts()).toHaveLength(2);
});

test('of each kind 500 names are looked at', () => {
  const population = createPopulation();
  for (let i = 0; i < 600; i++) population.add('object', 'object ' + i, () => false, {});
  expect(population.cohorts()).toHaveLength(500);
  expect(population.add('object', 'object 599', () => false, {})).toBeUndefined();
  expect(population.add('object', 'object 499', () => false, {})).toBeDefined();
  expect(population.add('dom', 'object 599', () => false, {})).toBeDefined();
});

test('so many members are looked at, and a sweep over them can be left at any time', () => {
  const population = createPopulation();
  const all = some(maxMembers + 1_000);
  addAll(population, all);
  const { asked, steps } = sweep(population, 1, () => false);
  expect(asked).toBe(maxMembers);
  expect(steps).toBeGreaterThanOrEqual(Math.floor(maxMembers / 64));
  expect(all).toHaveLength(maxMembers + 1_000);
});

test('so many that were released are waited for, and more when some have gone', async () => {
  const population = createPopulation();
  const kept = some(maxMembers - 5);
  const others = some(10);
  addAll(population, kept);
  const cohort = addAll(population, others);
  sweep(population, 1, () => true);
  expect(sums(cohort)).toEqual({ released: maxMembers, alive: maxMembers });
  others.length = 0;
  await toldOf(cohort, kept.length);
  expect(sums(cohort)).toEqual({ released: maxMembers, alive: kept.length });
  population.recall(kept[0]!);
  const more = some(10);
  addAll(population, more);
  sweep(population, 2, () => true);
  expect(sums(cohort).alive).toBe(maxMembers);
  expect(more).toHaveLength(10);
});
