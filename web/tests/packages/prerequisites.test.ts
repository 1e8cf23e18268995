// What `make web` says where it cannot run, and that a run of CI fails then.
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const script = path.join(import.meta.dirname, '../../../scripts/dev/web.sh');

/** All the programs that there are. */
let programs: string;

beforeEach(async () => {
  programs = await mkdtemp(path.join(tmpdir(), 'memwarden-programs-'));
  for (const name of ['bash', 'dirname', 'env']) await symlink(spawnSync('bash', ['-c', `command -v ${name}`]).stdout.toString().trim(), path.join(programs, name));
});

afterEach(() => rm(programs, { recursive: true, force: true }));

/** Node.js in another version. */
async function addNode(version: string): Promise<void> {
  const file = path.join(programs, 'node');
  const check = `Object.defineProperty(process.versions, 'node', { value: '${version}' })`;
  await writeFile(file, `#!${path.join(programs, 'bash')}\nif [ "$1" = --version ]; then echo v${version}; else exec '${process.execPath}' -e "${check}; $2"; fi\n`);
  await chmod(file, 0o755);
}

const run = (ci: string) => {
  const { status, stdout, stderr } = spawnSync(path.join(programs, 'bash'), [script], { env: { PATH: programs, CI: ci } });
  return { status, said: `${stdout}${stderr}` };
};

test.each([undefined, '18.19.0', '20.18.3'])('with Node.js %s the tests are left out, which says what to install, and CI fails', async (version) => {
  if (version) await addNode(version);
  const { status, said } = run('');
  expect(said).toContain('*** LEFT OUT: the tests of the browser packages: they need Node.js 20.19 or later');
  expect(said).toContain(version ? `there is v${version}: install a later nodejs` : 'there is none: install a later nodejs');
  expect(status).toBe(0);
  expect(run('true')).toEqual({ status: 1, said: `${said}CI=true: nothing may be left out\n` });
});

test.each(['20.19.0', '22.0.0'])('with Node.js %s and no npm it says so, and CI fails', async (version) => {
  await addNode(version);
  const { status, said } = run('');
  expect(said).toBe('\n*** LEFT OUT: the tests of the browser packages: there is no npm (Debian: npm)\n\n');
  expect(status).toBe(0);
  expect(run('true').status).toBe(1);
});
