// Bookkeeping of listeners and timers on the real window and document: what a page does with them goes on as without it.
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPages, type Pages } from '../pages';

let pages: Pages;

beforeAll(async () => {
  pages = await openPages();
  await pages.build(path.join(import.meta.dirname, 'src/page.ts'), 'holders', 19, false);
});

afterAll(() => pages?.close());

async function show() {
  const shown = await pages.show('holders', {});
  await shown.page.waitForFunction(() => 'listening' in window);
  return shown;
}

async function record(kept: boolean): Promise<{ log: string[]; errors: string[] }> {
  const { page, errors } = await show();
  const log = await page.evaluate((keep) => window.listening.record(keep), kept);
  await page.close();
  return { log, errors };
}

test('listeners and timers of the window and the document do what they do without the book, in the same order, errors too', async () => {
  const without = await record(false);
  const kept = await record(true);
  expect(kept).toEqual(without);
  // It is as a browser has it, and there is enough of it to differ.
  expect(without.errors).toEqual([]);
  expect(without.log.slice(0, 9)).toEqual([
    'twice: order at window in phase 1, this is window',
    'twice: order at document in phase 1, this is document',
    'bubbling: order at document in phase 3, this is document',
    'twice: order at document in phase 3, this is document',
    'later: order at document in phase 3, this is document',
    'bubbling: order at window in phase 3, this is window',
    'twice: order at window in phase 3, this is window',
    'later: order at window in phase 3, this is window',
    'sent order: true',
  ]);
  for (const line of [
    'once: once at document in phase 1, this is document',
    'until aborted: signal at window in phase 3, this is window',
    'first method: object at document in phase 3, this is an object',
    'second method: object at window in phase 3, this is an object',
    'sent removal: false',
    'reported: Uncaught Error: failed at window',
    'addEventListener(type,null) of window returned undefined',
    'removeEventListener(type,null) of document returned undefined',
    "addEventListener(type,7) of window threw TypeError: Failed to execute 'addEventListener' on 'EventTarget': parameter 2 is not of type 'Object'.",
    "removeEventListener() of document threw TypeError: Failed to execute 'removeEventListener' on 'EventTarget': 2 arguments required, but only 0 present.",
    'addEventListener of an object threw TypeError: Illegal invocation',
    'bare: bare at window in phase 3, this is window',
    'first timeout with string,number, this is window',
    'reported: Uncaught Error: failed in a timeout',
    'frame with number, this is undefined',
    'text was run',
  ]) {
    expect(without.log).toContain(line);
  }
  for (const never of ['too late', 'aborted, once: signal at body', 'removed by another: removal at window', 'cleared', 'cancelled']) {
    expect(without.log.filter((line) => line.startsWith(never))).toEqual([]);
  }
});

test('the book has what was added and not removed, and nothing that goes by itself', async () => {
  const { page, errors } = await show();
  expect(await page.evaluate(() => window.listening.book())).toEqual({
    added: [
      'listener of HTMLDocument for aborted: 4 not removed',
      'listener of HTMLDocument for captured: 4 not removed',
      'listener of Window for object: 4 not removed',
      'listener of Window for plain: 4 not removed',
    ],
    ended: ['a closure, a store or a promise'],
  });
  expect(errors).toEqual([]);
  await page.close();
});

test('a listener that is added with one signal and then with another ends with the first, for the browser and for the book', async () => {
  const { page, errors } = await show();
  expect(await page.evaluate(() => window.listening.twoSignals())).toEqual([
    [4, 'listener of Window for signals: 4 not removed'],
    [0, 'a closure, a store or a promise'],
  ]);
  expect(errors).toEqual([]);
  await page.close();
});

test('nothing is with a signal of the page for the listeners that were added with it, and none of them is kept alive', async () => {
  const { page, collect, errors } = await show();
  const devtools = await page.context().newCDPSession(page);
  const { result } = await devtools.send('Runtime.evaluate', { expression: 'window.listening.signal' });
  const withSignal = async () => (await devtools.send('DOMDebugger.getEventListeners', { objectId: result.objectId! })).listeners.length;
  await page.evaluate(() => window.listening.signals(1_000, false));
  expect(await withSignal()).toBe(0);
  await page.evaluate(() => window.listening.signals(1_000, true));
  expect(await withSignal()).toBe(0);
  await collect();
  expect(await page.evaluate(() => window.listening.alive())).toBe(0);
  await page.evaluate(() => window.listening.stop());
  expect(errors).toEqual([]);
  await page.close();
});

test('what was begun before the book can be ended with it, and the other way round', async () => {
  const { page, errors } = await show();
  expect(await page.evaluate(() => window.listening.acrossTheBook())).toEqual(['within', 'native again: true']);
  expect(errors).toEqual([]);
  await page.close();
});
