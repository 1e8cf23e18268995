// @vitest-environment node
import { expect, test } from 'vitest';
import { createCanary } from '../src/leaks/canary';
import { collect } from './collect';

test('a collection is told of by what was dropped before it', async () => {
  const canary = createCanary();
  await collect();
  expect(canary.collections()).toBe(0); // the canary is still held
  canary.step();
  expect(canary.collections()).toBe(0);
  await collect();
  expect(canary.collections()).toBe(1);
  await collect();
  expect(canary.collections()).toBe(1); // none was dropped in between
  canary.step();
  await collect();
  expect(canary.collections()).toBe(2);
});

test('canaries that one collection takes are one collection', async () => {
  const canary = createCanary();
  for (let i = 0; i < 5; i++) canary.step();
  await collect();
  expect(canary.collections()).toBe(1);
});
