// How long commits take as a Profiler tells it, in React's profiling build: from the beginning of a region's render to the
// commit, and so with all that React and the page do in between.
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPages, type Pages } from '../pages';

let pages: Pages;

beforeAll(async () => {
  pages = await openPages();
  for (const react of [18, 19] as const) await pages.build(path.join(import.meta.dirname, 'src/page.tsx'), `react${react}`, react, false);
});

afterAll(() => pages?.close());

test.each([18, 19])('the latency of a commit has what its region waits for, with React %s', async (react) => {
  const { page, errors } = await pages.show(`react${react}`, {});
  await page.waitForFunction(() => 'commits' in window && document.getElementById('urgent'));
  expect(await page.evaluate(() => window.commits.version)).toMatch(new RegExp(`^${react}\\.`));
  const read = () => page.evaluate(() => window.commits.read());
  const first = await read();
  expect(first).toMatchObject({ timed: 1, totalMs: first.longestMs });

  // The region renders at once, and waits: for its siblings, and for what takes the page from React meanwhile.
  await page.evaluate(() => window.commits.wait(100, 200));
  const waited = await read();
  expect(waited.timed).toBe(2);
  expect(waited.totalMs - first.totalMs).toBeGreaterThanOrEqual(300);
  expect(waited.longestMs).toBeGreaterThanOrEqual(300);

  // What React renders for nothing is no commit: it begins again, and the time is that of the render that came to the page.
  expect(await page.evaluate(() => window.commits.interrupt(100)), 'renders').toBe(2);
  const interrupted = await read();
  expect(interrupted.timed).toBe(3);
  expect(interrupted.totalMs - waited.totalMs).toBeGreaterThanOrEqual(100);
  expect(errors).toEqual([]);
  await page.close();
}, 60_000);
