// Installs the packages as a stranger would, from what is published, into the example, builds that with React 18 and 19, and
// uses it in a real browser. With LEAKS=few nobody waits until its leak is found, which takes most of the time; with BUILT=1
// the packages are taken as they have been built.
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveFiles } from '../../files';
import { openBrowser, showPage } from '../../pages';
import { findLeak, useOnce } from './leaky';

const web = path.join(import.meta.dirname, '../../..');
const run = (cwd: string, command: string, ...rest: string[]) =>
  execFileSync(command, rest, { cwd, stdio: ['ignore', 'pipe', 'inherit'] }).toString();

const { LEAKS, BUILT } = process.env;

let dir: string;
let browser: Browser;
const packages: Record<string, string> = {};

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memwarden-packed-'));
  if (!BUILT) run(web, 'npm', 'run', '-s', 'build');
  for (const name of ['client', 'react']) {
    const packed = run(path.join(web, 'packages', name), 'npm', 'pack', '--json', '--pack-destination', dir);
    const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
    expect(files.map((file) => file.path)).toEqual(expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md', 'dist/index.d.ts', 'dist/index.js']));
    packages['@memwarden/' + name] = 'file:' + path.join(dir, filename);
  }
  browser = await openBrowser();
}, 600_000);

afterAll(async () => {
  await browser?.close();
  await rm(dir, { recursive: true, force: true });
});

/** Builds the example as somebody who has installed it. */
async function buildExample(react: string, types: Record<string, string>): Promise<string> {
  const app = path.join(dir, 'app-' + react);
  await cp(path.join(web, 'examples/react-vite'), app, { recursive: true, filter: (file) => !/node_modules|dist$/.test(file) });
  const file = path.join(app, 'package.json');
  const manifest = JSON.parse(await readFile(file, 'utf8'));
  Object.assign(manifest.dependencies, packages, { react, 'react-dom': react });
  Object.assign(manifest.devDependencies, types);
  manifest.overrides = { '@memwarden/react': { '@memwarden/client': '$@memwarden/client' } };
  await writeFile(file, JSON.stringify(manifest));
  run(app, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline');
  run(app, 'npm', 'run', '-s', 'build');
  return path.join(app, 'dist');
}

test.each([
  ['18.3.1', { '@types/react': '18.3.31', '@types/react-dom': '18.3.7' }],
  ['19.3.1', { '@types/react': '19.3.0', '@types/react-dom': '19.3.0' }],
])(`the example with React %s shows its figures${LEAKS === 'few' ? '' : ' and names its leak'}`, async (react, types) => {
  const files = await serveFiles(await buildExample(react, types));
  const { page, errors, collect } = await showPage(browser, files.address);
  if (LEAKS === 'few') {
    await useOnce(page);
  } else {
    const { survivors, released } = await findLeak(page, collect);
    expect(survivors).toBeGreaterThanOrEqual(5);
    expect(released).toBeGreaterThanOrEqual(survivors);
  }
  expect(errors).toEqual([]);
  // As it goes the page tells the service.
  await page.goto('about:blank');
  const told = () => files.posted.flatMap((body) => (JSON.parse(body) as { items: object[] }).items);
  const panel = LEAKS === 'few' ? { kind: 'components', components: [expect.objectContaining({ name: 'Panel', mounts: 1, live: 0 })] } : { kind: 'leak', what: 'component', name: 'Panel' };
  await expect.poll(told, { timeout: 10_000 }).toContainEqual(expect.objectContaining(panel));
  await page.close();
  files.close();
}, 600_000);
