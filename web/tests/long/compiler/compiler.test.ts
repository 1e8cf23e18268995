// Pages that the React Compiler has rewritten: what is counted, shown and found is the same as without it.
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPages, type Pages } from '../../pages';
import { reactCompiler } from './compiler';

const here = import.meta.dirname;
const leaks = path.join(here, '../../leaks/src');
const versions = [18, 19] as const;

let pages: Pages;
const compiled = new Set<string>();

beforeAll(async () => {
  pages = await openPages();
  for (const react of versions) {
    const plugin = (directory: string) => [reactCompiler(`${react}`, directory, compiled)];
    await pages.build(path.join(here, 'src/page.tsx'), `plain-${react}`, react, false);
    await pages.build(path.join(here, 'src/page.tsx'), `compiled-${react}`, react, false, plugin(path.join(here, 'src')));
    await pages.build(path.join(leaks, 'page.tsx'), `leaks-${react}`, react, false, plugin(leaks));
  }
});

afterAll(() => pages?.close());

/** Uses a page, and returns what was counted. */
async function use(name: string) {
  const { page, errors } = await pages.show(name, {});
  await page.waitForFunction(() => 'compiled' in window && document.querySelector('ul'));
  for (let i = 0; i < 10; i++) await page.evaluate(() => window.compiled.press());
  for (let i = 0; i < 4; i++) await page.evaluate(() => window.compiled.toggle());
  for (let i = 0; i < 5; i++) await page.evaluate(() => window.compiled.press());
  // The figures of the page are those of the monitor, as soon as it has looked.
  await page.waitForFunction(() => document.querySelector('pre')!.innerText.endsWith(', 1 live, 15 cached'));
  const shown = await page.locator('pre').innerText();
  const counted = await page.evaluate(() => window.compiled.counted());
  const intervals = await page.evaluate(() => window.compiled.intervals());
  expect(errors).toEqual([]);
  await page.close();
  return { shown, intervals, ...counted };
}

test.each(versions)('React %s: the same is counted with the compiler and without', async (react) => {
  const plain = await use(`plain-${react}`);
  const rewritten = await use(`compiled-${react}`);
  expect([...compiled]).toEqual(expect.arrayContaining(['Page', 'Counter', 'Constant', 'Items', 'Figures']));
  for (const { monitor, byHand, live } of [plain, rewritten]) {
    const { Figures: shown, ...others } = monitor;
    const { Figures: byEffect, ...othersByHand } = byHand;
    expect(others).toEqual(othersByHand);
    expect(shown).toBeGreaterThan(1);
    expect(shown).toBe(byEffect);
    expect(live).toBe(4);
  }
  expect(plain.monitor).toMatchObject({ Counter: 20, Constant: 20 });
  // What gets nothing new is not rendered, so it is not counted either; all else is.
  expect(rewritten.monitor.Constant).toBe(1);
  expect(rewritten.monitor.Counter).toBe(16);
  expect(rewritten.shown).toBe('16 commits, 1 live, 15 cached');
}, 60_000);

test.each(versions)('React %s: all leaks are found in components that the compiler has rewritten', async (react) => {
  const { page, errors, collect } = await pages.show(`leaks-${react}`, {});
  await page.waitForFunction(() => 'matrix' in window);
  const { leaking } = await page.evaluate(() => ({ leaking: window.matrix.leaking }));
  expect([...compiled].filter((name) => leaking.includes(name)).length).toBeGreaterThanOrEqual(10);
  for (let i = 0; i < 10; i++) await page.evaluate(() => window.matrix.cycle());
  for (let i = 0; i < 6; i++) {
    await page.evaluate(() => window.matrix.settle());
    await collect();
  }
  await page.evaluate(() => window.matrix.settle());
  const leaks = await page.evaluate(() => window.matrix.leaks());
  expect(leaks.map(({ name }) => name).sort()).toEqual([...leaking].sort());
  expect(errors).toEqual([]);
  await page.close();
}, 60_000);
