// Runs the example as its README says, in a fresh copy of this directory: with nothing installed and nothing built.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, showPage } from '../../pages';
import { findLeak } from './leaky';

const web = path.join(import.meta.dirname, '../../..');

let clone: string;
let browser: Browser;
let example: ChildProcess | undefined;

beforeAll(async () => {
  clone = await mkdtemp(path.join(tmpdir(), 'memwarden-clone-'));
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: web }).toString();
  for (const file of files.split('\0').filter(Boolean)) await cp(path.join(web, file), path.join(clone, file));
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  if (example && example.exitCode === null && example.signalCode === null) {
    const ended = once(example, 'exit');
    process.kill(-example.pid!, 'SIGTERM'); // npm and what it has started
    await ended;
  }
  await rm(clone, { recursive: true, force: true });
});

/** The command that a README tells, and where in the repository it says to be. */
const commandIn = async (file: string): Promise<string | undefined> =>
  /`(npm run example)` in `web\/?`/.exec(await readFile(path.join(web, file), 'utf8'))?.[1];

test('one command installs, builds and shows it, and it names its leak', async () => {
  const readmes = ['packages/client/README.md', 'packages/react/README.md', 'examples/react-vite/README.md', '../examples/README.md'];
  const commands = await Promise.all(readmes.map(commandIn));
  expect(Object.fromEntries(readmes.map((file, i) => [file, commands[i]]))).toEqual(Object.fromEntries(readmes.map((file) => [file, 'npm run example'])));

  const [command, ...rest] = commands[0]!.split(' ') as [string, ...string[]];
  // What npm tells the scripts that it runs is about this copy, not about the other.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_ENV$|VITEST)/.test(name)));
  example = spawn(command, rest, { cwd: clone, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const address = await new Promise<string>((resolve, reject) => {
    const listen = (text: string) => {
      said += stripVTControlCharacters(text);
      const [, found] = /Local: +(http:\S+)/.exec(said) ?? [];
      if (found) resolve(found);
    };
    example!.stdout!.setEncoding('utf8').on('data', listen);
    example!.stderr!.setEncoding('utf8').on('data', listen);
    example!.once('exit', (code) => reject(new Error(`npm run example ended with ${code}: ${said}`)));
  });

  const { page, errors, collect } = await showPage(browser, address);
  const { survivors, released } = await findLeak(page, collect);
  expect(survivors).toBeGreaterThanOrEqual(5);
  expect(released).toBeGreaterThanOrEqual(survivors);
  // No service stands behind it: the page is told so, and works all the same.
  expect(errors.filter((text) => !text.includes('Failed to load resource'))).toEqual([]);
  await page.close();
}, 600_000);
