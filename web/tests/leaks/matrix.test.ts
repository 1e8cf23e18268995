import { createServer, type Server } from 'node:http';
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const here = import.meta.dirname;
const cycles = 10;

interface Kind {
  react: 18 | 19;
  strict: boolean;
  holders: boolean;
}

// React runs things twice in its development build alone, so the strict pages are built with that.
const kinds: Kind[] = [
  { react: 19, strict: false, holders: false },
  { react: 18, strict: true, holders: false },
];
if (process.env.LEAKS === 'all') {
  kinds.push(
    { react: 19, strict: true, holders: false },
    { react: 18, strict: false, holders: false },
    { react: 19, strict: false, holders: true },
    { react: 18, strict: true, holders: true },
  );
}

/** Debian's Chromium, or the one that is named. */
const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);

let browser: Browser;
let server: Server;
let address: string;
let dir: string;

const nameOf = ({ react, strict }: Kind) => `react${react}-${strict ? 'development' : 'production'}`;

async function buildPage(kind: Kind): Promise<void> {
  const from = kind.react === 18 ? path.join(here, '../react18/node_modules') : path.join(here, '../../node_modules');
  process.env.NODE_ENV = kind.strict ? 'development' : 'production';
  await build({
    root: here,
    configFile: false,
    logLevel: 'error',
    mode: process.env.NODE_ENV,
    define: { 'process.env.NODE_ENV': JSON.stringify(process.env.NODE_ENV) },
    resolve: {
      alias: [
        { find: /^(react|react-dom)(\/.*)?$/, replacement: `${from}/$1$2` },
        { find: '@memwarden/react/leaks', replacement: path.join(here, '../../packages/react/src/leaks.ts') },
        { find: '@memwarden/react', replacement: path.join(here, '../../packages/react/src/index.ts') },
        { find: '@memwarden/client', replacement: path.join(here, '../../packages/client/src/index.ts') },
      ],
    },
    build: {
      outDir: dir,
      emptyOutDir: false,
      minify: false,
      lib: { entry: path.join(here, 'src/page.tsx'), formats: ['es'], fileName: () => nameOf(kind) + '.js' },
    },
  });
}

beforeAll(async () => {
  if (!executablePath) throw new Error('there is no Chromium (Debian: chromium; or set CHROMIUM to its path)');
  dir = await mkdtemp(path.join(tmpdir(), 'leak-matrix-'));
  const built = new Set<string>();
  for (const kind of kinds) {
    if (built.has(nameOf(kind))) continue;
    built.add(nameOf(kind));
    await buildPage(kind);
  }
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://page');
    if (pathname.endsWith('.js')) {
      readFile(path.join(dir, path.basename(pathname))).then(
        (text) => response.setHeader('Content-Type', 'text/javascript').end(text),
        () => response.writeHead(404).end(),
      );
      return;
    }
    response.setHeader('Content-Type', 'text/html');
    response.end(`<!doctype html><div id="root"></div><script>window.options = ${searchParams.get('options')}</script>
      <script type="module" src="${searchParams.get('script')}.js"></script>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
});

afterAll(async () => {
  await browser?.close();
  server?.close();
  await rm(dir, { recursive: true, force: true });
});

describe.each(kinds)('React $react, strict $strict, holders $holders', (kind) => {
  test(`after ${cycles} cycles every leak is found and nothing else`, async () => {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    const options = JSON.stringify({ strict: kind.strict, holders: kind.holders });
    await page.goto(`${address}/?script=${nameOf(kind)}&options=${encodeURIComponent(options)}`);
    await page.waitForFunction(() => 'matrix' in window);
    const devtools = await page.context().newCDPSession(page);

    const matrix = await page.evaluate(() => ({ ...window.matrix }));
    expect(matrix.version).toMatch(new RegExp(`^${kind.react}\\.`));
    for (let i = 0; i < cycles; i++) await page.evaluate(() => window.matrix.cycle());
    for (let i = 0; i < 6; i++) {
      await page.evaluate(() => window.matrix.settle());
      await devtools.send('HeapProfiler.collectGarbage');
    }
    await page.evaluate(() => window.matrix.settle());
    const leaks = await page.evaluate(() => window.matrix.leaks());
    const released = await page.evaluate(() => window.matrix.released());
    const live = await page.evaluate(() => window.matrix.live());
    await page.close();

    if (process.env.LEAKS_SHOW) console.log(JSON.stringify(leaks, null, 1));
    // Where effects run twice, Portal keeps a container that no component ever rendered into: a leak too, without a name.
    const expected = [...matrix.leaking, ...(kind.strict ? ['<section>'] : [])];
    expect(leaks.map((leak) => leak.name).sort()).toEqual(expected.sort());
    const holders = leaks.find((leak) => leak.name === 'WindowListener')!.holders.join();
    if (kind.holders) expect(holders).toContain('listener of Window for resize at ');
    for (const leak of leaks) expect(leak.survivors, leak.name).toBe(cycles);
    // The others were not overlooked: they were released as often, and have gone.
    for (const name of matrix.clean) {
      const one = released.find((each) => each.name === name && each.kind === 'component');
      expect(one, name).toMatchObject({ released: cycles });
      expect(one!.survivors, name).toBeLessThanOrEqual(name === 'FilledPool' ? 6 : 3);
    }
    expect(live).toBe(0);
    expect(errors).toEqual([]);
  }, 60_000);
});
