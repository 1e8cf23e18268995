// An application that nobody here wrote, the drawing board of Excalidraw, as it is and with the provider around it: it works
// the same, and nothing is blamed that does not leak.
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveFiles, type Files } from '../../files';
import { openBrowser, showPage } from '../../pages';

const here = import.meta.dirname;
const packages = path.join(here, '../../../packages');
const cycles = 10;

let dir: string;
let files: Files;
let browser: Browser;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memwarden-app-'));
  await build({
    root: here,
    configFile: false,
    logLevel: 'error',
    resolve: {
      dedupe: ['react', 'react-dom'],
      alias: [
        { find: '@memwarden/react/leaks', replacement: path.join(packages, 'react/src/leaks.ts') },
        { find: '@memwarden/react', replacement: path.join(packages, 'react/src/index.ts') },
        { find: '@memwarden/client', replacement: path.join(packages, 'client/src/index.ts') },
      ],
    },
    build: { outDir: dir, chunkSizeWarningLimit: 10_000, rollupOptions: { input: [path.join(here, 'plain.html'), path.join(here, 'watched.html')] } },
  });
  // Its fonts, which it would fetch from elsewhere.
  const assets = path.dirname(createRequire(import.meta.url).resolve('@excalidraw/excalidraw'));
  files = await serveFiles(dir, assets);
  browser = await openBrowser();
}, 300_000);

afterAll(async () => {
  await browser?.close();
  files?.close();
  await rm(dir, { recursive: true, force: true });
});

const keys = { rectangle: 'r', ellipse: 'o', diamond: 'd', arrow: 'a', text: 't' };

/** Draws a few things, and opens and closes what there is to open. */
async function use(page: Page): Promise<void> {
  const choose = async (tool: keyof typeof keys) => {
    await page.keyboard.press(keys[tool]);
    await page.waitForFunction((wanted) => window.drawing.getAppState().activeTool.type === wanted, tool, { timeout: 10_000 });
  };
  const drag = async (tool: keyof typeof keys, x: number, y: number) => {
    await choose(tool);
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 60, y + 40, { steps: 4 });
    await page.mouse.move(x + 120, y + 80, { steps: 4 });
    await page.mouse.up();
  };
  await page.mouse.click(400, 300); // the keys are its own from now on
  await drag('rectangle', 300, 200);
  await drag('ellipse', 500, 200);
  await drag('diamond', 700, 200);
  await drag('arrow', 300, 350);
  await choose('text');
  await page.mouse.click(600, 450);
  await page.locator('textarea').waitFor();
  await page.keyboard.type('Drawn by a test');
  await page.keyboard.press('Escape');
  await page.locator('textarea').waitFor({ state: 'detached' });
  await page.keyboard.press('Escape');
  for (let i = 0; i < cycles; i++) {
    await page.keyboard.press('?');
    await page.locator('.HelpDialog').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.HelpDialog').waitFor({ state: 'detached' });
    await page.getByTestId('main-menu-trigger').click();
    await page.getByTestId('dropdown-menu').waitFor();
    await page.keyboard.press('Escape');
    await page.getByTestId('dropdown-menu').waitFor({ state: 'detached' });
  }
  await page.keyboard.press('Control+a');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Control+z');
  await page.keyboard.press('Escape');
}

/** What is drawn, without what is drawn by lot. */
const drawn = (page: Page) =>
  page.evaluate(() =>
    window.drawing.getSceneElements().map(({ type, x, y, width, height, strokeColor, ...rest }) => ({
      ...{ type, x, y, width, height, strokeColor },
      text: 'text' in rest ? rest.text : undefined,
    })),
  );

/** The elements of the page, without an identifier that is drawn by lot. */
const markup = (page: Page) =>
  page.evaluate(() => {
    const suffix = '-canvasActions-title';
    const id = document.querySelector(`[id$="${suffix}"]`)!.id.slice(0, -suffix.length);
    return document.getElementById('root')!.innerHTML.replaceAll(id, 'id');
  });

test('works the same, says nothing in the console, and nothing of it is blamed', async () => {
  const seen: { errors: string[]; drawn: Awaited<ReturnType<typeof drawn>>; html: string }[] = [];
  for (const name of ['plain', 'watched']) {
    const { page, errors, collect } = await showPage(browser, `${files.address}${name}.html`);
    await page.waitForFunction(() => 'drawing' in window && !window.drawing.getAppState().isLoading);
    await use(page);
    // What is over has its time to go: a while, commits, collections.
    for (let i = 0; i < 9; i++) {
      await page.keyboard.press(i % 2 ? 'h' : 'v');
      await page.waitForTimeout(250);
      if (name === 'watched') await page.evaluate(() => window.watching.leaks.sweep());
      await collect();
    }
    seen.push({ errors, drawn: await drawn(page), html: await markup(page) });
    if (name === 'watched') {
      await page.evaluate(() => window.watching.leaks.sweep());
      const released = await page.evaluate(() => window.watching.leaks.released());
      const leaks = await page.evaluate(() => window.watching.leaks.leaks());
      if (process.env.APP_SHOW) console.log(JSON.stringify(released));
      // It was looked at, and what is in the dialog and the menu was released as often as they were closed.
      expect(released.filter((one) => one.kind === 'component' && one.released >= cycles).length).toBeGreaterThan(10);
      expect(leaks).toEqual([]);
      await expect.poll(() => files.posted.length, { timeout: 10_000 }).toBeGreaterThan(0);
    }
    await page.close();
  }
  const [plain, watched] = seen;
  expect(plain!.drawn.map(({ type }) => type)).toEqual(['rectangle', 'ellipse', 'diamond', 'arrow', 'text']);
  expect(watched!.drawn).toEqual(plain!.drawn);
  expect({ plain: plain!.errors, watched: watched!.errors }).toEqual({ plain: [], watched: [] });
  expect(watched!.html.split('<')).toEqual(plain!.html.split('<'));
}, 300_000);
