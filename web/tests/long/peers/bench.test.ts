// What it costs to have a page watched, by us and by others, and what is found, in one run: a render, a look at all elements,
// bytes, the leak matrix.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { openPages, type Pages } from '../../pages';
import { median, report, type Figure } from './figures';
import { compareLeaks } from './matrix';

const here = import.meta.dirname;
const web = path.join(here, '../../..');
/** So many pages of each: what a render takes depends on where a page has its memory, and may be twice as long in the next. */
const repeats = 15;
const elements = 10_000;
const tools = ['plain', 'memwarden', 'bippy', 'react-scan', 'web-vitals', 'memlens'] as const;

interface Rendered {
  readonly name: string;
  readonly tool: (typeof tools)[number];
  readonly options?: object;
  readonly atMost?: number;
}

const rendered: readonly Rendered[] = [
  { name: 'memwarden, tracked', tool: 'memwarden', options: { watched: false }, atMost: 0.5 },
  { name: 'memwarden, tracked, with the leak watch', tool: 'memwarden', atMost: 0.5 },
  { name: 'memwarden, page not sampled', tool: 'memwarden', options: { sampled: false }, atMost: 0.05 },
  { name: 'bippy, counting commits', tool: 'bippy' },
  { name: 'react-scan, forced on in production', tool: 'react-scan' },
  { name: 'web-vitals', tool: 'web-vitals' },
  { name: 'MemLens', tool: 'memlens' },
];

let pages: Pages;
const figures: Figure[] = [];
let leaksByComponent = '';

beforeAll(async () => {
  pages = await openPages();
  for (const tool of tools) await pages.build(path.join(here, `src/${tool}.tsx`), tool, 19, false);
}, 300_000);

afterAll(async () => {
  await pages?.close();
  const version = (name: string) => JSON.parse(readFileSync(path.join(here, '../node_modules', name, 'package.json'), 'utf8')).version;
  const versions = ['react-scan', 'bippy', '@memlab/lens', 'web-vitals'].map((name) => `${name} ${version(name)}`).join(', ');
  const text = `\`make bench-web\`

${versions}; React 19 in its production build, ${pages.browser}, Node.js ${process.versions.node}; ${cpus()[0]!.model}, ${cpus().length} processors.

${report(figures)}
The leak matrix by component: how many of ten survivors memwarden tells of, and how many of ten scans of MemLens name it.

${leaksByComponent}`;
  console.log(text);
  if (process.env.REPORT) await writeFile(process.env.REPORT, text);
});

/** Has a page of its own measure something. */
async function measured<T>(tool: string, options: object, measure: (page: Page) => Promise<T>): Promise<T> {
  const { page } = await pages.show(tool, options);
  await page.waitForFunction(() => 'bench' in window);
  const result = await measure(page);
  await page.close();
  return result;
}

const renders = async (tool: string, options: object) =>
  median(await measured(tool, options, (page) => page.evaluate(() => window.bench.renders())));
const sweeps = (tool: string) => measured(tool, {}, (page) => page.evaluate((count) => window.bench.sweeps(count), elements));

test('a render', async () => {
  const extra = new Map<string, number[]>(rendered.map(({ name }) => [name, []]));
  const plain: number[] = [];
  for (let i = 0; i < repeats; i++) {
    // Each tool is held against the plain pages before and after it, so that a machine that changes its pace does no harm.
    let before = await renders('plain', {});
    for (const { name, tool, options = {} } of rendered) {
      const took = await renders(tool, options);
      const after = await renders('plain', {});
      extra.get(name)!.push(took - (before + after) / 2);
      plain.push(after);
      before = after;
    }
  }
  figures.push({ name: 'a render of a small component, nobody watching', unit: 'µs', values: plain });
  for (const { name, atMost } of rendered) {
    figures.push({ name: `on top of it: ${name}`, unit: 'µs', values: extra.get(name)!, ...(atMost !== undefined && { atMost }) });
  }
}, 1_200_000);

test('a look at all elements', async () => {
  for (const [tool, name, goals] of [['memwarden', 'memwarden', [5, 2]], ['memlens', 'MemLens', []]] as const) {
    const all: { totalMs: number; longestMs: number }[] = [];
    for (let i = 0; i < 3; i++) all.push(...(await sweeps(tool)));
    const goal = (n: number) => (goals[n] === undefined ? {} : { atMost: goals[n] });
    const of = `${elements.toLocaleString('en')} elements`;
    figures.push(
      { name: `a look at ${of}: ${name}`, unit: 'ms', values: all.map(({ totalMs }) => totalMs), ...goal(0) },
      { name: `the longest piece of it: ${name}`, unit: 'ms', values: all.map(({ longestMs }) => longestMs), ...goal(1) },
    );
  }
}, 300_000);

test('bytes', () => {
  const goals: Record<string, number> = { client: 2.5, 'client and react': 3.5, 'client, react, leaks and adapters, for production': 6, 'the same with the bookkeeping of holders': 6 };
  const sizes = (directory: string) => {
    // It also fails where something is too large, which is for other tests to say.
    const { stdout } = spawnSync('npx', ['--no-install', 'size-limit', '--json'], { cwd: directory, encoding: 'utf8' });
    return JSON.parse(stdout) as { name: string; size: number }[];
  };
  for (const { name, size } of [...sizes(web), ...sizes(here)]) {
    figures.push({ name: `${name}, brotli`, unit: 'kB', values: [size / 1000], ...(goals[name] && { atMost: goals[name] }) });
  }
}, 120_000);

// After all that is timed: nothing of it runs beside that.
compareLeaks(({ figures: found, byComponent }) => {
  figures.push(...found);
  leaksByComponent = byComponent;
});
