import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { components } from '@memwarden/client';
import { openPages, type Pages } from '../pages';

type Report = components['schemas']['FrontendReports']['reports'][number]['report'];

const token = 'a token for the tests';
let dir: string;
let service: ChildProcess;
let address: string;
let pages: Pages;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Asks until the answer is what is wanted; the test's own time limit ends it. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

async function reports(): Promise<Report[]> {
  const answer = await fetch(`${address}/api/monitoring/frontend/reports?limit=100`, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  const { reports } = (await answer.json()) as components['schemas']['FrontendReports'];
  return reports.map(({ report }) => report);
}

/** The first report that has an item with this note. */
const withNote = (text: string) => async () =>
  (await reports()).find(({ items }) => items.some((item) => item.kind === 'note' && item.text === text));

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memwarden-service-'));
  const binary = path.join(dir, 'memwarden');
  execFileSync('go', ['build', '-o', binary, './server/cmd/memwarden'], { cwd: path.join(import.meta.dirname, '../../..'), stdio: 'inherit' });
  const port = await freePort();
  address = `http://127.0.0.1:${port}`;
  service = spawn(binary, ['serve', '--addr', `127.0.0.1:${port}`], {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: dir, MEMWARDEN_ADMIN_TOKEN: token },
    stdio: 'ignore',
  });
  await until(async () => (await fetch(address + '/api/health').catch(() => undefined))?.ok || undefined);
  pages = await openPages({ service: address });
  await pages.build(path.join(import.meta.dirname, 'src/page.tsx'), 'service', 19, false);
}, 300_000);

afterAll(async () => {
  await pages?.close();
  if (service && service.exitCode === null) {
    const ended = new Promise((resolve) => service.once('exit', resolve));
    service.kill('SIGTERM');
    await ended;
  }
  await rm(dir, { recursive: true, force: true });
});

// Behind one address with the page, as in production, the answer is read; elsewhere it is sent all the same.
test.each(['/api/monitoring/frontend/reports', 'elsewhere'])('the service keeps what a page sends to %s', async (place) => {
  const endpoint = place === 'elsewhere' ? address + '/api/monitoring/frontend/reports' : place;
  const before = (await reports()).length;
  const { page, errors } = await pages.show('service', { endpoint });
  await page.waitForFunction(() => 'session' in window);
  // All at once: each look sends what there is, and one may fall between two calls from here.
  await page.evaluate(async (text) => {
    window.session.note(text);
    window.session.again();
    await window.session.flush();
  }, 'sent ' + place);
  const report = await until(withNote('sent ' + place));
  expect(report).toMatchObject({ schema: 1, release: '1.2.3-ä', page: new URL('/', page.url()).href });
  // Newest first; what came to be while a body was on its way is in the next.
  const of = (kind: string) =>
    until(async () => (await reports()).slice(0, -before || undefined).flatMap(({ items }) => items).find((item) => item.kind === kind));
  expect(await of('figures')).toMatchObject({ heap: { source: 'engine' }, dropped: 0, self: { off: false } });
  expect(await of('components')).toMatchObject({ components: [{ name: 'Cart', live: 1 }] });

  await page.evaluate((text) => window.session.note(text), 'left ' + place);
  await page.goto('about:blank');
  await until(withNote('left ' + place));
  expect(errors).toEqual([]);
  await page.close();
}, 60_000);
