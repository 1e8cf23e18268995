import path from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { openPages, type Pages } from '../pages';

vi.setConfig({ testTimeout: 60_000 });

let pages: Pages;

beforeAll(async () => {
  pages = await openPages();
  await pages.build(path.join(import.meta.dirname, 'src/page.tsx'), 'overlay', 19, false);
});

afterAll(() => pages?.close());

async function show(options: object = {}) {
  const shown = await pages.show('overlay', options);
  onTestFinished(() => shown.page.close());
  await shown.page.waitForFunction(() => document.querySelector('memwarden-overlay') !== null);
  return shown;
}

/** The innermost element that has the focus: its role or tag, and its first words. */
const focused = (page: Page) =>
  page.evaluate(() => {
    let element = document.activeElement;
    while (element?.shadowRoot) element = element.shadowRoot.activeElement;
    const name = element?.getAttribute('aria-label') ?? (element?.textContent ?? '').replace(/[\d,]+$/, '');
    return `${element?.getAttribute('role') ?? element?.localName} ${name}`.trim();
  });

const isOpen = (page: Page) => page.locator('memwarden-overlay [role=dialog]').isVisible();

test('the keyboard alone opens it, goes through it and closes it, and has its place back', async () => {
  const { page, errors } = await show();
  // The first figures come after an interval.
  await page.evaluate(() => window.shown.look());
  await page.getByLabel('Search').focus();
  await page.keyboard.press('Alt+Shift+M');
  expect(await isOpen(page)).toBe(true);
  expect(await focused(page)).toMatch(/^dialog /);

  const way: string[] = [];
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press('Tab');
    way.push(await focused(page));
  }
  expect(way).toEqual(['button Close', 'summary Renders', 'summary Leaks', 'summary Caches', 'summary Warnings']);

  const caches = page.locator('memwarden-overlay table', { hasText: 'Inactive' });
  expect(await caches.isVisible()).toBe(true);
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  expect(await caches.isVisible()).toBe(false);

  await page.keyboard.press('Escape');
  expect(await isOpen(page)).toBe(false);
  expect(await focused(page)).toBe('input');

  // By its button too, which is the last thing of the page.
  await page.keyboard.press('Tab');
  expect(await focused(page)).toMatch(/^button Memory of this page/);
  await page.keyboard.press('Enter');
  expect(await isOpen(page)).toBe(true);
  await page.keyboard.press('Alt+Shift+M');
  expect(await isOpen(page)).toBe(false);
  expect(await focused(page)).toMatch(/^button Memory of this page/);
  expect(errors).toEqual([]);
});

test('Escape outside of it, and keys that are no shortcut, are the page’s', async () => {
  const { page } = await show({ overlay: { defaultOpen: true, shortcut: 'Control+Shift+Y' } });
  const search = page.getByLabel('Search');
  await search.focus();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Alt+Shift+M');
  await page.keyboard.type('my');
  expect(await isOpen(page)).toBe(true);
  expect(await search.inputValue()).toBe('my');
  await page.keyboard.press('Control+Shift+Y');
  expect(await isOpen(page)).toBe(false);
  expect(await focused(page)).toBe('input');
});

/** Has the page do what the overlay tells of. */
async function use(page: Page, collect: () => Promise<void>) {
  await page.evaluate(() => window.shown.fill(300));
  for (let i = 0; i < 8; i++) await page.evaluate(() => window.shown.cycle());
  for (let i = 0; i < 6; i++) {
    await page.evaluate(() => window.shown.settle());
    await collect();
  }
  await page.evaluate(() => window.shown.settle());
  await page.evaluate(() => window.shown.look());
}

const rows = (page: Page, caption: string) =>
  page.locator('memwarden-overlay table', { hasText: caption }).locator('tbody tr').evaluateAll((all) =>
    all.map((row) => [...row.children].map((cell) => cell.textContent)),
  );

test('it shows what the monitor has: commits, instances, the heap, leaks with who holds them, caches', async () => {
  const { page, collect, errors } = await show({ overlay: { defaultOpen: true } });
  await use(page, collect);
  await page.getByLabel('Search').fill('lamp');
  await page.evaluate(() => window.shown.look());
  const { stats, leaks } = await page.evaluate(() => ({ stats: window.shown.stats(), leaks: window.shown.leaks() }));
  const all = await rows(page, 'Component');
  expect(all.map(([name]) => name).sort()).toEqual(['Page', 'Results', 'Search']);
  for (const [name, , live, total] of all) {
    expect([live, total], name!).toEqual([String(stats.components[name!]!.live), String(stats.components[name!]!.commits)]);
  }
  expect(stats.components.Results).toMatchObject({ mounts: 8, live: 0 });

  expect(leaks).toMatchObject([{ name: 'Results', kind: 'component', survivors: 8 }]);
  const leak = page.locator('memwarden-overlay .leaks > li');
  expect(await leak.count()).toBe(1);
  expect(await leak.innerText()).toContain('Results component, 8 of 8 are still there');
  expect(await leak.innerText()).toContain('in Page ‹ MemoryMonitorProvider');
  expect(await leak.innerText()).toContain('listener of Window for resize at ');

  // A cache that takes long to read, as on a busy machine, is read rarely.
  const caches = async () => {
    await page.evaluate(() => window.shown.look());
    return rows(page, 'Inactive');
  };
  const filled = [['products', '300', '300', '0', expect.stringMatching(/^≈ \d+(\.\d)? [kM]B$/)]];
  await expect.poll(caches, { timeout: 20_000, interval: 500 }).toEqual(filled);
  const heap = await page.locator('memwarden-overlay section[aria-label=Heap]').innerText();
  expect(heap).toMatch(/\d MB/);
  expect(heap).toContain('a coarse figure of the engine');
  expect(await page.locator('memwarden-overlay .toggle').innerText()).toMatch(/MB, 1 leak/);
  expect(await page.locator('memwarden-overlay footer').innerText()).toMatch(/takes \d+\.\d\d % of the page’s time|takes \d+\.\d\d % of the page's time/);
  expect(errors).toEqual([]);
});

test('it is in none of the figures, and goes when it is taken away', async () => {
  const { page, collect, errors } = await show({ overlay: { defaultOpen: true } });
  for (let i = 0; i < 12; i++) await page.evaluate(() => window.shown.cycleOverlay());
  for (let i = 0; i < 6; i++) {
    await page.evaluate(() => window.shown.settle());
    await collect();
  }
  await page.evaluate(() => window.shown.settle());
  await page.evaluate(() => window.shown.look());
  const { stats, leaks, released } = await page.evaluate(() => ({
    stats: window.shown.stats(),
    leaks: window.shown.leaks(),
    released: window.shown.released(),
  }));
  expect(Object.keys(stats.components).sort()).toEqual(['Page', 'Search']);
  expect(leaks).toEqual([]);
  // The probes saw it go, twelve times, and nothing of it is left but perhaps the last.
  const gone = released.find(({ name }) => name === '<memwarden-overlay>');
  expect(gone).toMatchObject({ kind: 'dom', released: 12 });
  expect(gone!.survivors).toBeLessThanOrEqual(1);
  expect(errors).toEqual([]);
});

test('a strict policy forbids nothing of it, and no style of the page reaches it', async () => {
  const policy = "default-src 'self'; style-src 'self'; script-src 'self'; require-trusted-types-for 'script'";
  const { page, errors } = await show({ policy, overlay: { defaultOpen: true } });
  await page.evaluate(() => window.shown.look());
  await page.evaluate(() => window.shown.look());
  const looks = () =>
    page.locator('memwarden-overlay').evaluate((host) => {
      const of = (selector: string) => getComputedStyle(host.shadowRoot!.querySelector(selector)!);
      return { place: of('aside').position, size: of('.toggle').fontSize, color: of('.panel').color, shown: of('aside').display };
    });
  expect(await page.evaluate(() => window.shown.forbidden)).toEqual([]);
  const before = await looks();
  expect(before).toMatchObject({ place: 'fixed', shown: 'flex' });
  // The policy holds: a style of the page itself is refused in words, so it is put in by the browser's own hand.
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('html { font-size: 40px; color: red } * { color: red; font-size: 40px; display: none } button { font-size: 40px }');
    document.adoptedStyleSheets = [sheet];
  });
  expect(await looks()).toEqual(before);
  expect(errors).toEqual([]);
});

test('no rule of accessibility is broken, closed and open, in light and dark', async () => {
  const { page, collect } = await show();
  await use(page, collect);
  const violations = async () => {
    const { violations } = await new AxeBuilder({ page }).setLegacyMode().analyze();
    return violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => html + failureSummary)]);
  };
  expect(await violations()).toEqual([]);
  await page.keyboard.press('Alt+Shift+M');
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(), colorScheme).toEqual([]);
    await shoot(page, colorScheme);
  }
});

test('it fits into a narrow window, and moves for nobody who does not want that', async () => {
  const { page, collect } = await show({ overlay: { defaultOpen: true } });
  await page.setViewportSize({ width: 320, height: 480 });
  await use(page, collect);
  const box = (await page.locator('memwarden-overlay .panel').boundingBox())!;
  expect(box.x).toBeGreaterThanOrEqual(0);
  expect(box.x + box.width).toBeLessThanOrEqual(320);
  expect(box.y).toBeGreaterThanOrEqual(0);
  const { scrollWidth, clientWidth } = await page.locator('memwarden-overlay .panel').evaluate(({ scrollWidth, clientWidth }) => ({ scrollWidth, clientWidth }));
  expect(scrollWidth).toBe(clientWidth);
  await shoot(page, 'narrow');

  const animation = () => page.locator('memwarden-overlay .panel').evaluate((panel) => getComputedStyle(panel).animationName);
  expect(await animation()).toBe('rise');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  expect(await animation()).toBe('none');
});

test('what a cache is said to take is about what the heap has grown by', async () => {
  const { page, collect } = await show();
  const devtools = await page.context().newCDPSession(page);
  /** What is left when collections find nothing more. */
  const heap = async () => {
    for (let least = Infinity; ; ) {
      await collect();
      const { usedSize } = await devtools.send('Runtime.getHeapUsage');
      if (usedSize > least * 0.99) return Math.min(usedSize, least);
      least = usedSize;
    }
  };
  const fill = async (entries: number) => {
    const bytes = await page.evaluate(async (entries) => {
      window.shown.fill(entries);
      // What takes long to read is not read at each look.
      while (window.shown.stats().caches.products?.entries !== entries) await window.shown.look();
      return window.shown.stats().caches.products!.bytes!;
    }, entries);
    return { bytes, heap: await heap() };
  };
  const before = await fill(50);
  const after = await fill(2_000);
  const ratio = (after.bytes - before.bytes) / (after.heap - before.heap);
  if (process.env.OVERLAY_PICTURES) console.log(`estimate: ${ratio.toFixed(2)} of ${((after.heap - before.heap) / 1e6).toFixed(1)} MB`);
  expect(ratio).toBeGreaterThan(0.5);
  expect(ratio).toBeLessThan(2);
}, 30_000); // as many collections as it takes

/** Leaves a picture where one is asked for. */
async function shoot(page: Page, name: string) {
  if (process.env.OVERLAY_PICTURES) await page.screenshot({ path: path.join(process.env.OVERLAY_PICTURES, name + '.png') });
}
