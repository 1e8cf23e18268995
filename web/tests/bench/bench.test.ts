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

const quantiles = (all: number[]) => {
  const sorted = [...all].sort((a, b) => a - b);
  return [0.5, 0.99, 1].map((share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2)).join(' / ');
};

// Beside others on the machine a median is theirs too; the lower quartile is what the code takes.
test('measure', async () => {
  const renders: Record<string, object> = {};
  const sweeps: Record<string, object> = {};
  for (const react of ['react18', 'react19']) {
    const on = await shown(react, true);
    const sampled = await on.evaluate(() => window.measure.renders());
    await on.close();
    const off = await shown(react, false);
    const unsampled = await off.evaluate(() => window.measure.renders());
    await off.close();
    const page = await shown(react, true);
    const sweep = await page.evaluate(() => window.measure.sweeps(10_000, 100));
    await page.close();
    const of = ([quartile, median]: [number, number]) => `${quartile.toFixed(3)} / ${median.toFixed(3)}`;
    renders[react] = {
      'tracked (≤ 0.5)': of(sampled.tracked),
      'not sampled (≤ 0.05)': of(unsampled.tracked),
      'counter by hand': of(sampled.byHand),
      'empty effect': of(sampled.effect),
      'empty ref': of(sampled.ref),
    };
    sweeps[react] = {
      'sweep (≤ 5)': quantiles(sweep.sweeps),
      'slice (≤ 2)': quantiles(sweep.slices),
      'a millisecond of nothing': quantiles(sweep.idle),
    };
  }
  console.log('A render beyond a plain one, µs: lower quartile / median');
  console.table(renders);
  console.log('Sweeps over 10,000 components, ms: median / 99 % / longest');
  console.table(sweeps);
}, 600_000);
