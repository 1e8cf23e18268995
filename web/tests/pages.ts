import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { build, type Plugin } from 'vite';

const here = import.meta.dirname;

/** A page in a real browser. */
export interface Shown {
  page: Page;
  /** What went wrong in it: uncaught errors, and what was written to the console as an error. */
  errors: string[];
  /** Has the browser collect garbage. */
  collect(): Promise<void>;
}

/** Builds pages against a version of React, and shows them in Chromium. */
export interface Pages {
  /** The browser's name and version. */
  readonly browser: string;
  /** Where the pages are: `/?script=NAME&options=JSON`. */
  readonly address: string;
  /** Builds a script and gives it a name. React runs things twice and warns in its development build alone. */
  build(entry: string, name: string, react: 18 | 19, development: boolean, plugins?: Plugin[]): Promise<void>;
  /** Shows an empty page with the script; `window.options` has the options. */
  show(name: string, options: object): Promise<Shown>;
  close(): Promise<void>;
}

/** Debian's Chromium, or the one that CHROMIUM names. */
export function openBrowser(flags: readonly string[] = []): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
  if (!executablePath) throw new Error('there is no Chromium (Debian: chromium; or set CHROMIUM to its path)');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', ...flags] });
}

/** Shows what is at an address. */
export async function showPage(browser: Browser, address: string): Promise<Shown> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(address);
  const devtools = await page.context().newCDPSession(page);
  return {
    page,
    errors,
    collect: async () => {
      await devtools.send('HeapProfiler.collectGarbage');
    },
  };
}

/** Behind the address of the pages is that of a service too, if there is one: as `/api/`. */
export async function openPages({ service, flags }: { service?: string; flags?: readonly string[] } = {}): Promise<Pages> {
  const dir = await mkdtemp(path.join(tmpdir(), 'memwarden-pages-'));
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://page');
    if (service && pathname.startsWith('/api/')) {
      const { method, headers, url } = request;
      const asked = ask(service + url, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      asked.on('error', () => response.writeHead(502).end());
      request.pipe(asked);
      return;
    }
    if (pathname.endsWith('.js')) {
      readFile(path.join(dir, path.basename(pathname))).then(
        (text) => response.setHeader('Content-Type', 'text/javascript').end(text),
        () => response.writeHead(404).end(),
      );
      return;
    }
    response.setHeader('Content-Type', 'text/html');
    if ((JSON.parse(searchParams.get('options')!) as Window['options'] | null)?.isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin').setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    response.end(`<!doctype html><link rel="icon" href="data:,"><div id="root"></div>
      <script>window.options = ${searchParams.get('options')}</script>
      <script type="module" src="${searchParams.get('script')}.js"></script>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser = await openBrowser(flags);

  return {
    browser: `Chromium ${browser.version()}`,
    address,
    async build(entry, name, react, development, plugins = []) {
      const from = path.join(here, react === 18 ? 'react18/node_modules' : '../node_modules');
      const mode = development ? 'development' : 'production';
      process.env.NODE_ENV = mode;
      await build({
        root: here,
        configFile: false,
        plugins,
        logLevel: 'error',
        mode,
        define: { 'process.env.NODE_ENV': JSON.stringify(mode) },
        resolve: {
          alias: [
            { find: /^(react|react-dom)(\/.*)?$/, replacement: `${from}/$1$2` },
            { find: /^@memwarden\/react$/, replacement: path.join(here, '../packages/react/src/index.ts') },
            { find: /^@memwarden\/react\/(.+)$/, replacement: path.join(here, '../packages/react/src') + '/$1.ts' },
            { find: '@memwarden/client', replacement: path.join(here, '../packages/client/src/index.ts') },
          ],
        },
        build: { outDir: dir, emptyOutDir: false, minify: false, lib: { entry, formats: ['es'], fileName: () => name + '.js' } },
      });
    },
    show: (name, options) => showPage(browser, `${address}/?script=${name}&options=${encodeURIComponent(JSON.stringify(options))}`),
    async close() {
      await browser.close();
      server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
