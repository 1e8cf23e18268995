import { expect, test } from 'vitest';
import { createMemoryMonitor } from '@memwarden/client';
import { countBy, createInstance } from '../src/instance';

test('one render counts once, and an instance that comes back is the same', () => {
  const monitor = createMemoryMonitor();
  const record = monitor.component('A');
  const instance = createInstance('A');
  const first = {};
  expect(instance(first)).toBeUndefined(); // there is no provider yet
  const end = instance()!;
  end(); // it ends before it was counted
  countBy(monitor);
  end();
  instance(first)!(); // StrictMode: effect, cleanup, effect
  let release = instance(first);
  expect(record).toMatchObject({ commits: 1, mounts: 1, live: 1 });
  release!(); // an update: cleanup of the last render, effect of the next
  release = instance({});
  expect(record).toMatchObject({ commits: 2, mounts: 1, live: 1 });
  release!();
  expect(record).toMatchObject({ commits: 2, mounts: 1, unmounts: 0, live: 0 }); // hidden
  end();
  expect(record).toMatchObject({ commits: 2, mounts: 1, unmounts: 1, live: 0 });
  instance(); // it was its code that was replaced
  expect(record).toMatchObject({ commits: 2, mounts: 1, unmounts: 0, live: 0 });
});

test('what one monitor counts stays its own, as long as the newest is on', () => {
  const [older, newer] = [createMemoryMonitor(), createMemoryMonitor({ sampleRate: 1 })];
  countBy(older);
  const counted = createInstance('B');
  counted({});
  let on = true;
  countBy({ ...newer, active: () => on });
  counted({});
  createInstance('B')({});
  expect([older, newer].map((one) => one.component('B').commits)).toEqual([2, 1]);
  on = false;
  counted({});
  createInstance('B')({});
  expect([older, newer].map((one) => one.component('B').commits)).toEqual([2, 1]);
});
