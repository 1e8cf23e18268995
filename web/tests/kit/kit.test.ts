import { execFile } from 'node:child_process';
import { cp, mkdtemp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build as buildPackage } from 'tsdown';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPages, type Pages } from '../pages';

const web = path.join(import.meta.dirname, '../..');
const all = process.env.LEAKS === 'all';
const playwright = createRequire(import.meta.url).resolve('@playwright/test/cli');

/** Pages by name, as [version of React, whether it is a development build]. */
const kinds: Record<string, [react: 18 | 19, development: boolean]> = {
  'react19-production': [19, false],
  'react18-development': [18, true],
  ...(all && { 'react18-production': [18, false], 'react19-development': [19, true] }),
};

let pages: Pages;
/** A project of a user, who has installed Playwright and the packages, and written tests. */
let project: string;

/** Runs `playwright test` in it. */
const runTests = () =>
  new Promise<string>((resolve) => {
    const env = { ...process.env, KIT_ADDRESS: pages.address, KIT_PAGES: Object.keys(kinds).join(), KIT_QUICK: all ? '' : 'yes' };
    execFile(process.execPath, [playwright, 'test', '--reporter=list'], { cwd: project, env }, (_, stdout, stderr) => resolve(stdout + stderr));
  });

beforeAll(async () => {
  project = await mkdtemp(path.join(tmpdir(), 'memwarden-kit-'));
  pages = await openPages();
  for (const [name, [react, development]] of Object.entries(kinds)) {
    await pages.build(path.join(import.meta.dirname, 'src/page.tsx'), name, react, development);
  }
  await cp(path.join(import.meta.dirname, 'user'), project, { recursive: true });
  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }');
  const modules = path.join(project, 'node_modules');
  for (const name of ['client', 'react']) {
    const from = path.join(web, 'packages', name);
    const to = path.join(modules, '@memwarden', name);
    await mkdir(to, { recursive: true });
    await cp(path.join(from, 'package.json'), path.join(to, 'package.json'));
    await buildPackage({ cwd: from, config: path.join(from, 'tsdown.config.ts'), outDir: path.join(to, 'dist'), dts: false, logLevel: 'warn' });
  }
  await symlink(path.join(web, 'node_modules/@playwright'), path.join(modules, '@playwright'));
}, 120_000);

afterAll(async () => {
  await pages?.close();
  await rm(project, { recursive: true, force: true });
});

test('the tests of a user pass, and those that should not tell what leaks', async () => {
  const readme = await readFile(path.join(web, 'packages/react/README.md'), 'utf8');
  const example = readme.match(/```ts\n(import [^`]*@playwright\/test[^`]*)```/)![1]!;
  const where = `/?script=react19-production&options=${encodeURIComponent('{"kinds":["ClassMethod"]}')}`;
  await writeFile(path.join(project, 'example.spec.ts'), example.replace("goto('/')", `goto('${where}')`).replace("test('", "test('@quick "));
  const output = await runTests();
  const failed = [...output.matchAll(/ ✘ .* › (\S+):\d+:\d+ /g)].map(([, file]) => file!);
  if (process.env.LEAKS_SHOW || failed.some((file) => file.includes('leaks'))) console.log(output);

  expect(failed.sort()).toEqual(['example.spec.ts', 'failing.spec.ts']);
  expect(output).toMatch(/\d+ passed/);
  expect(output).toContain('LeakError: expectNoLeaks: WindowListener outlived 10 cycles of the scenario\n');
  expect(output).toContain('  WindowListener: 10 of 10 components are still there\n');
  expect(output).toMatch(/> +\d+ \| +await expectNoLeaks\(async \(\) => \{/);
  expect(output).toMatch(/at \S+failing\.spec\.ts:\d+:\d+/);
  expect(output).toContain('  ClassMethod: 10 of 10 components are still there\n');
  expect(output).toMatch(/at \S+example\.spec\.ts:\d+:\d+/);
}, 1_800_000);
