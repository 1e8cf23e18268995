// What the core takes from a real browser: tasks and frames that block, readings of the heap, and delivery as a page goes.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FrontendReport } from '@memwarden/client';
import { openPages, type Pages } from '../pages';

let service: Server;
/** What it was sent, with how it was asked. */
const posted: { method: string | undefined; type: string | undefined; report: FrontendReport }[] = [];
/** Where answers wait for the test: what ends one before its time, and what sends it. */
const held: { cut: Promise<'cut'>; answer(): void }[] = [];
let address: string;
let pages: Pages;

beforeAll(async () => {
  service = createServer((request, response) => {
    void text(request).then((body) => {
      posted.push({ method: request.method, type: request.headers['content-type'], report: JSON.parse(body) as FrontendReport });
      const answer = () => void response.writeHead(201).end();
      if (request.url !== '/held') return answer();
      held.push({ cut: new Promise((resolve) => response.once('close', () => resolve('cut'))), answer });
    });
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  // Without the flag the browser measures a page only after its next collection, which may be many seconds away.
  address = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  pages = await openPages({ service: address, flags: ['--enable-blink-features=ForceEagerMeasureMemory'] });
  await pages.build(path.join(import.meta.dirname, 'src/page.ts'), 'core', 19, false);
});

afterAll(async () => {
  await pages?.close();
  service.closeAllConnections();
  service.close();
});

async function show(options: Partial<Window['options']>) {
  const shown = await pages.show('core', options);
  await shown.page.waitForFunction(() => 'core' in window);
  return shown;
}

test('tasks and frames that block the page for 100 ms are counted, those before it was watched too', async () => {
  const { page, errors } = await show({});
  const read = async () => {
    const { longTasks, longFrames } = await page.evaluate(() => window.core.read());
    return { longTasks, longFrames };
  };
  // The browser tells of them later.
  await expect.poll(async () => (await read()).longFrames.count, { timeout: 10_000 }).toBeGreaterThanOrEqual(1);
  await expect.poll(async () => (await read()).longTasks.count, { timeout: 10_000 }).toBeGreaterThanOrEqual(1);
  const before = await read();
  expect(before.longTasks.longestMs).toBeGreaterThanOrEqual(100);
  // Of a frame the time counts for which it kept the page from answering, which is what is beyond 50 ms.
  expect(before.longFrames.longestMs).toBeGreaterThanOrEqual(50);

  await page.evaluate(() => window.core.block(3, 100));
  await expect.poll(async () => (await read()).longTasks.count - before.longTasks.count, { timeout: 10_000 }).toBeGreaterThanOrEqual(3);
  await expect.poll(async () => (await read()).longFrames.count - before.longFrames.count, { timeout: 10_000 }).toBeGreaterThanOrEqual(3);
  const after = await read();
  expect(after.longTasks.totalMs - before.longTasks.totalMs).toBeGreaterThanOrEqual(300);
  expect(after.longFrames.totalMs - before.longFrames.totalMs).toBeGreaterThanOrEqual(150);
  expect(errors).toEqual([]);
  await page.close();
}, 60_000);

test('an ordinary page has the figure of the engine', async () => {
  const { page, errors } = await show({});
  const heap = (await page.evaluate(() => window.core.read())).heap!;
  expect(Object.keys(heap).sort()).toEqual(['at', 'bytes', 'limitBytes', 'source']);
  expect(heap.source).toBe('engine');
  const { isolated, limit } = await page.evaluate(() => ({
    isolated: crossOriginIsolated,
    limit: (performance as unknown as { memory: { jsHeapSizeLimit: number } }).memory.jsHeapSizeLimit,
  }));
  expect(isolated).toBe(false);
  expect(heap.limitBytes).toBe(limit);
  expect(heap.bytes).toBeGreaterThan(0);
  expect(heap.bytes).toBeLessThan(limit);
  expect(errors).toEqual([]);
  await page.close();
});

test('a page that is isolated from other origins has the figure of the browser, and never the other', async () => {
  const { page, errors } = await show({ isolated: true, often: true });
  const sources = new Set<string | undefined>();
  const read = async () => {
    const { heap } = await page.evaluate(() => window.core.read());
    sources.add(heap?.source);
    return heap;
  };
  // Until the browser has measured there is no figure, though there would be one of the engine.
  await expect.poll(read, { timeout: 30_000 }).toBeDefined();
  const heap = (await read())!;
  const { isolated, memory, bytes } = await page.evaluate(async () => {
    const measuring = performance as unknown as { memory?: object; measureUserAgentSpecificMemory(): Promise<{ bytes: number }> };
    return { isolated: crossOriginIsolated, memory: 'memory' in measuring, bytes: (await measuring.measureUserAgentSpecificMemory()).bytes };
  });
  expect({ isolated, memory }).toEqual({ isolated: true, memory: true });
  expect(Object.keys(heap).sort()).toEqual(['at', 'bytes', 'source']);
  expect([...sources].filter(Boolean)).toEqual(['agent']);
  // The same page, a moment later.
  expect(heap.bytes).toBeGreaterThan(bytes / 2);
  expect(heap.bytes).toBeLessThan(bytes * 2);
  expect(errors).toEqual([]);
  await page.close();
}, 60_000);

test('this browser has all the ways to send from a page that goes', async () => {
  const { page } = await show({});
  expect(await page.evaluate(() => window.core.ways)).toEqual(['fetchLater', 'sendBeacon', 'fetch']);
  await page.close();
});

test.each(['fetchLater', 'sendBeacon', 'fetch'] as const)('what waits as the page goes arrives by %s', async (way) => {
  for (const how of ['navigated', 'closed']) {
    const { page, errors } = await show({ way, endpoint: '/api/monitoring/frontend/reports' });
    const note = `${how}, ${way}`;
    await page.evaluate((text) => window.core.note(text), note);
    const received = () => posted.filter(({ report }) => report.items.some((item) => item.kind === 'note' && item.text === note));
    expect(received()).toEqual([]); // it waits
    if (how === 'navigated') await page.goto('about:blank');
    else await page.close({ runBeforeUnload: true });
    await expect.poll(() => received().length, { timeout: 20_000 }).toBe(1);
    const [{ method, type, report }] = received() as [(typeof posted)[number]];
    expect({ method, type }).toEqual({ method: 'POST', type: 'text/plain;charset=UTF-8' });
    expect(report.page).toBe(`${pages.address}/`);
    expect(report.items.map(({ kind }) => kind)).toContain('figures');
    expect(errors).toEqual([]);
    if (how === 'navigated') await page.close();
  }
}, 60_000);

test('a request that is under way is not cut off as the page goes', async () => {
  const { page } = await show({ way: 'fetch', endpoint: `${address}/held` });
  await page.evaluate(() => window.core.note('under way'));
  await page.goto('about:blank');
  await expect.poll(() => held.length, { timeout: 20_000 }).toBe(1);
  // The browser has one more page, and one less, after it: what it gives up it has given up by then.
  const { page: later } = await show({ endpoint: '/api/monitoring/frontend/reports' });
  await later.goto('about:blank');
  await later.close();
  await page.close();
  const [{ cut, answer }] = held as [(typeof held)[number]];
  expect(await Promise.race([cut, Promise.resolve('waits for its answer')])).toBe('waits for its answer');
  answer();
}, 60_000);
