// @vitest-environment node
import { expect, test } from 'vitest';
import { createCanary } from '../src/leaks/canary';
import { collect } from './collect';

/** Steps and collects so many times; a canary is old after two collections, and the third one takes it. */
async function collectTimes(canary: ReturnType<typeof createCanary>, times: number) {
  for (let i = 0; i < times; i++) {
    canary.step();
    await collect();
  }
}

test('a collection is told of by what was old before it', async () => {
  const canary = createCanary();
  await collectTimes(canary, 2);
  expect(canary.collections()).toBe(0); // all of it was young
  await collectTimes(canary, 1);
  expect(canary.collections()).toBe(1);
  await collect();
  expect(canary.collections()).toBe(1); // none was dropped in between
  await collectTimes(canary, 4);
  expect(canary.collections()).toBe(5);
});

test('however often it steps, nothing is told without a collection', async () => {
  const canary = createCanary();
  await collectTimes(canary, 2);
  for (let i = 0; i < 1_000; i++) canary.step();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(canary.collections()).toBe(0);
  await collect();
  expect(canary.collections()).toBe(1);
});
