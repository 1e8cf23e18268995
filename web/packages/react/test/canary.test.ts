// @vitest-environment node
import { expect, test } from 'vitest';
import { createCanary } from '../src/leaks/canary';
import { collect } from './collect';

test('a collection is told of by what was old before it', async () => {
  const canary = createCanary();
  const countAfter = async (times: number) => {
    for (let i = 0; i < times; i++) await collect();
    return canary();
  };
  canary();
  expect(await countAfter(1)).toBe(0);
  expect(await countAfter(1)).toBe(0); // all of it was young
  expect(await countAfter(1)).toBe(1);
  expect(canary()).toBe(1);
  expect(await countAfter(3)).toBe(2); // none was dropped in between
  for (const count of [3, 4, 5]) expect(await countAfter(1)).toBe(count);
});

test('however often it is asked, nothing is told without a collection', async () => {
  const canary = createCanary();
  for (let i = 0; i < 2; i++) {
    canary();
    await collect();
  }
  for (let i = 0; i < 1_000; i++) expect(canary()).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(canary()).toBe(0);
  await collect();
  expect(canary()).toBe(1);
});
