// What a stranger gets with the packages: a license, where they come from, what they run with, and no more than he imports.
import { cp, mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build as buildPackage } from 'tsdown';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const web = path.join(import.meta.dirname, '../..');

const manifestOf = async (name: string) => JSON.parse(await readFile(path.join(web, 'packages', name, 'package.json'), 'utf8'));
const versionOf = async (where: string) => JSON.parse(await readFile(path.join(web, where, 'package.json'), 'utf8')).version as string;

describe.each(['client', 'react'])('@memwarden/%s', (name) => {
  test("has the repository's license, and says where it is from", async () => {
    const manifest = await manifestOf(name);
    expect(manifest.license).toBe('Apache-2.0');
    expect(manifest.repository).toEqual({ type: 'git', url: 'git+https://github.com/memwarden/memwarden.git', directory: `web/packages/${name}` });
    const license = await readFile(path.join(web, '../LICENSE'), 'utf8');
    expect(await readFile(path.join(web, 'packages', name, 'LICENSE'), 'utf8')).toBe(license);
  });

  test('asks for the Node.js that it is tested with', async () => {
    const { engines } = JSON.parse(await readFile(path.join(web, 'package.json'), 'utf8'));
    expect((await manifestOf(name)).engines).toEqual(engines);
  });
});

test('@memwarden/react takes the versions of React that it is tested with, and no others', async () => {
  const majors = await Promise.all(['tests/react18/node_modules/react', 'node_modules/react'].map(async (where) => parseInt(await versionOf(where))));
  expect((await manifestOf('react')).peerDependencies.react).toBe(majors.map((major) => `^${major}.0.0`).join(' || '));
});

describe('a bundle has what is imported and no more', () => {
  /** A project of a user who has installed the packages. */
  let project: string;

  beforeAll(async () => {
    project = await mkdtemp(path.join(tmpdir(), 'memwarden-shake-'));
    for (const name of ['client', 'react']) {
      const from = path.join(web, 'packages', name);
      const to = path.join(project, 'node_modules/@memwarden', name);
      await mkdir(to, { recursive: true });
      await cp(path.join(from, 'package.json'), path.join(to, 'package.json'));
      await buildPackage({ cwd: from, config: path.join(from, 'tsdown.config.ts'), outDir: path.join(to, 'dist'), dts: false, logLevel: 'warn' });
    }
  }, 60_000);

  afterAll(() => rm(project, { recursive: true, force: true }));

  /** What a bundler makes of one line, but for React. */
  async function bundle(line: string): Promise<string> {
    const entry = path.join(project, 'entry.js');
    await writeFile(entry, line);
    const result = await build({
      root: project,
      configFile: false,
      logLevel: 'error',
      build: { write: false, minify: false, lib: { entry, formats: ['es'] }, rollupOptions: { external: [/^react/, /^swr/] } },
    });
    const [{ output }] = result as { output: { code?: string }[] }[] as [{ output: { code?: string }[] }];
    return output.map(({ code = '' }) => code).join('\n');
  }

  /** Words that stand in one part of the packages and in no other. */
  const marks = {
    monitor: 'monitor_off',
    transport: 'fetchLater',
    snapshots: 'compareSnapshots',
    hook: 'usePerformanceTracking',
    provider: 'MonitorContext.Provider',
    stats: 'useSyncExternalStore',
    profiler: 'Profiler',
    higherOrder: 'forwardRef',
    watch: 'new MutationObserver',
    population: 'FinalizationRegistry',
    holders: 'not removed',
    tanstack: 'getQueryCache',
    swr: 'swr',
    apollo: 'extract',
    overlay: 'attachShadow',
  };
  const partsOf = (code: string) => Object.keys(marks).filter((part) => code.includes(marks[part as keyof typeof marks]));

  test.each([
    [`export { compareSnapshots } from '@memwarden/client'`, ['snapshots']],
    [`export { createMemoryMonitor } from '@memwarden/client'`, ['monitor', 'transport']],
    [`export { usePerformanceTracking } from '@memwarden/react'`, ['hook']],
    [`export { withPerformanceTracking } from '@memwarden/react'`, ['hook', 'higherOrder']],
    [`export { useMemoryStats } from '@memwarden/react'`, ['stats']],
    [`export { TimedRegion } from '@memwarden/react'`, ['profiler']],
    [`export { keepHolders } from '@memwarden/react/leaks'`, ['holders']],
    [`export { watchLeaks } from '@memwarden/react/leaks'`, ['watch', 'population']],
    [`export { watchQueryCache } from '@memwarden/react/adapters/tanstack'`, ['tanstack']],
    [`export { watchSwrCache } from '@memwarden/react/adapters/swr'`, ['swr']],
    [`export { watchApolloCache } from '@memwarden/react/adapters/apollo'`, ['apollo']],
  ])('%s', async (line, parts) => {
    expect(partsOf(await bundle(line))).toEqual(parts);
  });

  test('what is imported for its effects alone leaves nothing', async () => {
    const all = ['client', 'react', 'react/leaks', 'react/adapters/tanstack', 'react/adapters/swr', 'react/adapters/apollo', 'react/overlay'];
    const code = await bundle(all.map((entry) => `import '@memwarden/${entry}';`).join('\n'));
    expect(code.trim()).toBe('');
  });

  test('the words that parts are known by stand in a bundle of all', async () => {
    const all = ['client', 'react', 'react/leaks', 'react/adapters/tanstack', 'react/adapters/swr', 'react/adapters/apollo', 'react/overlay'];
    expect(partsOf(await bundle(all.map((entry) => `export * from '@memwarden/${entry}';`).join('\n')))).toEqual(Object.keys(marks));
  });
});
