import path from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { openPages, type Pages } from '../pages';

let pages: Pages;

beforeAll(async () => {
  pages = await openPages();
  for (const react of [18, 19] as const) {
    await pages.build(path.join(import.meta.dirname, 'src/page.tsx'), 'react' + react, react, false);
  }
});

afterAll(() => pages?.close());

async function shown(react: string, sampled: boolean) {
  const { page } = await pages.show(react, { sampled });
  await page.waitForFunction(() => 'measure' in window);
  return page;
}

test('measure', async () => {
  const table: Record<string, object> = {};
  for (const react of ['react18', 'react19']) {
    const on = await shown(react, true);
    const sampled = await on.evaluate(() => window.measure.renders());
    await on.close();
    const off = await shown(react, false);
    const unsampled = await off.evaluate(() => window.measure.renders());
    await off.close();
    const page = await shown(react, true);
    const sweep = await page.evaluate(() => window.measure.sweep(10_000));
    await page.close();
    table[react] = {
      'tracked render, µs (≤ 0.5)': sampled.tracked.toFixed(3),
      'not sampled, µs (≤ 0.05)': unsampled.tracked.toFixed(3),
      'counter by hand, µs': sampled.byHand.toFixed(3),
      'sweep of 10,000, ms (≤ 5)': sweep.totalMs.toFixed(2),
      'longest slice, ms (≤ 2)': sweep.longestMs.toFixed(2),
    };
  }
  console.table(table);
}, 300_000);
