// Long use of a page, beside its twin without a monitor: what the monitor itself takes of the heap is bounded, and once it
// has filled most of what it keeps it hardly grows.
//
// USE_MINUTES is for how long; 30 by default, of which the first half is warm-up. USE has the figures written into a file.
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { CDPSession } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPages, type Pages, type Shown } from '../../pages';
import { trend } from './trend';

const minutes = Number(process.env.USE_MINUTES ?? 30);
/** How often the heap is looked at, and how much the user does meanwhile: ten things a second. */
const roundMs = 10_000;
const actions = 100;
/** What the monitor may take of the heap. */
const mostBytes = 4 << 20;
/**
 * By how much it may grow in an hour once it is warm. Two things are not full by then, each within a bound: weak references to
 * what the page leaks, some 1,800 components an hour, and of each name the last 32 times that something was released, which
 * takes customers who are seldom shown many hours. One byte for each row that is mounted would be more than what is left.
 */
const mostBytesPerHour = 512 << 10;

let service: Server;
let received = 0;
let pages: Pages[] = [];

/** Takes reports in turns as a service does that is well, busy, broken, wrong and gone. */
function openService(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const turn = received++ % 8;
      if (turn < 3) response.writeHead(202).end();
      else if (turn === 3) response.writeHead(503, { 'Retry-After': '8' }).end();
      else if (turn === 4) response.writeHead(400).end();
      else if (turn === 5) response.writeHead(500).end();
      else if (turn === 6) request.socket.destroy();
      else setTimeout(() => response.writeHead(202).end(), 3_000);
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

beforeAll(async () => {
  service = await openService();
  const address = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  // A browser for each: pages of one may share a heap.
  pages = await Promise.all([openPages({ service: address }), openPages({ service: address })]);
  for (const each of pages) await each.build(path.join(import.meta.dirname, 'src/page.tsx'), 'use', 19, false);
});

afterAll(async () => {
  for (const each of pages) await each.close();
  service.closeAllConnections();
  service.close();
});

interface Watched {
  readonly shown: Shown;
  readonly devtools: CDPSession;
}

async function open(where: Pages, watched: boolean): Promise<Watched> {
  const shown = await where.show('use', { watched });
  await shown.page.waitForFunction(() => 'use' in window);
  return { shown, devtools: await shown.page.context().newCDPSession(shown.page) };
}

async function heapOf({ shown, devtools }: Watched): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await shown.collect();
    await shown.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 20))); // those who wait for a collection are told
  }
  const { usedSize } = await devtools.send('Runtime.getHeapUsage');
  return usedSize;
}

/** How many of the page's objects are of a kind, and how many entries they have in all. */
async function objectsOf({ devtools }: Watched, kind: 'Map' | 'Set' | 'Array' | 'WeakRef'): Promise<number> {
  const group = 'objects';
  const { result } = await devtools.send('Runtime.evaluate', { expression: `${kind}.prototype`, objectGroup: group });
  const { objects } = await devtools.send('Runtime.queryObjects', { prototypeObjectId: result.objectId!, objectGroup: group });
  const count = await devtools.send('Runtime.callFunctionOn', {
    objectId: objects.objectId!,
    functionDeclaration: 'function () { return this.reduce((sum, one) => sum + (one.size ?? one.length ?? 1), 0); }',
    returnByValue: true,
  });
  await devtools.send('Runtime.releaseObjectGroup', { objectGroup: group });
  return count.result.value as number;
}

const kinds = ['Map', 'Set', 'Array', 'WeakRef'] as const;

test(`in ${minutes} minutes of use the monitor's own heap is bounded`, async () => {
  const watched = await open(pages[0]!, true);
  const twin = await open(pages[1]!, false);
  const both = [watched, twin];
  const points: { minute: number; own: number; twin: number; leaked: number; share: number; entries: Record<string, number> }[] = [];
  const began = Date.now();
  while (Date.now() < began + minutes * 60_000) {
    const next = Date.now() + roundMs;
    await Promise.all(both.map(({ shown }) => shown.page.evaluate((times) => window.use.act(times), actions)));
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - Date.now())));
    const [with_, without] = [await heapOf(watched), await heapOf(twin)];
    const entries: Record<string, number> = {};
    for (const kind of kinds) entries[kind] = (await objectsOf(watched, kind)) - (await objectsOf(twin, kind));
    const leaked = await watched.shown.page.evaluate(() => window.use.leaked());
    expect(await twin.shown.page.evaluate(() => window.use.leaked())).toBe(leaked); // the same was done in both
    const { off, share } = (await watched.shown.page.evaluate(() => window.use.self()))!;
    points.push({ minute: (Date.now() - began) / 60_000, own: with_ - without, twin: without, leaked, share, entries });
    if (off) break; // which is told below
  }
  const held = (await watched.shown.page.evaluate(() => window.use.held()))!;

  expect(held.stats.self.off, `the monitor took more than its budget; at each look: ${points.map(({ share }) => share.toFixed(4)).join(' ')}`).toBe(false);
  const warm = points.filter(({ minute }) => minute > minutes / 2);
  const perLeak = trend(warm.map(({ leaked, own }, i) => [leaked + i * 1e-6, own]));
  const perHour = trend(warm.map(({ minute, own }) => [minute / 60, own]));
  const figures = { minutes, received, perHour, perLeak, mostBytes: Math.max(...points.map(({ own }) => own)), held, points };
  if (process.env.USE) await writeFile(process.env.USE, JSON.stringify(figures, null, 1));
  const { stats } = held;
  console.log(
    JSON.stringify({ ...figures, points: [points[0], warm[0], points.at(-1)], held: { ...held, stats: { self: stats.self, warnings: stats.warnings.length, components: Object.keys(stats.components).length } } }, null, 1),
  );

  expect(watched.shown.errors.filter((text) => !text.includes('Failed to load resource'))).toEqual([]);
  expect(received).toBeGreaterThan(5);
  expect(held.leaks).toEqual(['component Detail']);
  expect(held.snapshots).toBeLessThanOrEqual(20);
  expect(stats.warnings.length).toBeLessThanOrEqual(50);
  expect(Object.keys(stats.components).length).toBeLessThanOrEqual(501);
  expect(figures.mostBytes).toBeLessThan(mostBytes);
  // A shorter run is over before it is warm.
  if (minutes >= 30) expect(perHour.slope, 'growth in bytes an hour').toBeLessThanOrEqual(mostBytesPerHour);
}, (minutes + 5) * 60_000);
