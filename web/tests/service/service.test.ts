import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { components } from '@memwarden/client';
import { openPages, type Pages } from '../pages';

type Schemas = components['schemas'];
type Report = Schemas['FrontendReports']['reports'][number]['report'];

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

async function get<T>(route: string): Promise<T> {
  const answer = await fetch(`${address}/api/monitoring/${route}`, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

async function reports(): Promise<Report[]> {
  const { reports } = await get<Schemas['FrontendReports']>('frontend/reports?limit=100');
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
  pages = await openPages({ service: address });
  service = spawn(binary, ['serve', '--addr', `127.0.0.1:${port}`], {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: dir, MEMWARDEN_ADMIN_TOKEN: token, MEMWARDEN_FRONTEND_ORIGINS: pages.address },
    stdio: 'ignore',
  });
  await until(async () => (await fetch(address + '/api/health').catch(() => undefined))?.ok || undefined);
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
  const { page, errors } = await pages.show('service', { endpoint });
  await page.waitForFunction(() => 'session' in window);
  await page.evaluate((text) => window.session.note(text), 'sent ' + place);
  await page.evaluate(() => window.session.flush());
  const report = await until(withNote('sent ' + place));
  expect(report).toMatchObject({ schema: 1, release: '1.2.3-ä', page: new URL('/', page.url()).href });
  // What is queued while a body is on its way goes with the next: the figures need not be in the note's.
  const first = (kind: string) => async () =>
    (await reports()).flatMap(({ items }) => items).find((item) => item.kind === kind);
  expect(await until(first('figures'))).toMatchObject({ heap: { source: 'engine' }, dropped: 0, self: { off: false } });
  expect(await until(first('components'))).toMatchObject({ components: [{ name: 'Cart', live: 1 }] });

  await page.evaluate((text) => window.session.note(text), 'left ' + place);
  await page.goto('about:blank');
  await until(withNote('left ' + place));
  expect(errors).toEqual([]);
  await page.close();
}, 20_000);

test('what pages send is added up by component, release and leak', async () => {
  const { verdict } = await get<Schemas['Leaks']>('memory/leaks');
  const { page, errors, collect } = await pages.show('service', { endpoint: '/api/monitoring/frontend/reports' });
  await page.waitForFunction(() => 'session' in window);
  for (let i = 0; i < 10; i++) await page.evaluate(() => window.session.cycle());
  for (let i = 0; i < 6; i++) {
    await page.evaluate(() => window.session.settle());
    await collect();
  }
  await page.evaluate(() => window.session.settle());
  await page.evaluate(() => window.session.flush());

  const leak = await until(async () => {
    const { leaks } = await get<Schemas['FrontendLeaks']>('frontend/leaks?name=Basket');
    return leaks.find(({ what }) => what === 'component');
  });
  expect(leak).toMatchObject({ owners: ['Shop', 'MemoryMonitorProvider'], releases: ['1.2.3-ä'], pages: 1 });
  expect(leak.survivors).toBeGreaterThanOrEqual(5);

  const { components: rows } = await get<Schemas['FrontendComponents']>('frontend/components?release=1.2.3-%C3%A4&sort=mounts');
  expect(rows.find(({ name }) => name === 'Basket')).toMatchObject({ mounts: 10, pages: 1 });
  const { releases } = await get<Schemas['FrontendReleases']>('frontend/releases');
  expect(releases).toMatchObject([{ release: '1.2.3-ä', heap: [{ source: 'engine' }], monitor_off: 0 }]);

  const listed = await get<Schemas['Leaks']>('memory/leaks?browser=true');
  const one = listed.leaks.find(({ type }) => type === 'Basket');
  expect(one).toMatchObject({ kind: 'browser', status: 'reported', path: ['MemoryMonitorProvider', 'Shop', 'Basket'] });
  expect(listed.verdict).toBe(verdict);
  expect((await get<Schemas['Leaks']>('memory/leaks?browser=false')).leaks).toEqual([]);

  expect(errors).toEqual([]);
  await page.close();
}, 30_000);

test('a page of an origin that is not named is refused', async () => {
  const answer = await fetch(address + '/api/monitoring/frontend/reports', {
    method: 'POST',
    headers: { Origin: 'https://elsewhere.example', 'Content-Type': 'text/plain' },
    body: JSON.stringify({ schema: 1, sent_at: new Date().toISOString(), items: [{ kind: 'note', at: new Date().toISOString() }] }),
  });
  expect(answer.status).toBe(403);
});

// A page may send five reports a second and twenty at once; what is beyond is refused for some time: what comes
// after these is too.
test.each(['/api/monitoring/frontend/reports', 'elsewhere'])('what a busy service at %s refuses is sent later, and nothing is lost', async (place) => {
  const endpoint = place === 'elsewhere' ? address + '/api/monitoring/frontend/reports' : place;
  const { page } = await pages.show('service', { endpoint });
  await page.waitForFunction(() => 'session' in window);
  const answers: { status: number; at: number }[] = [];
  page.on('response', (response) => {
    if (response.url().endsWith('/reports')) answers.push({ status: response.status(), at: Date.now() });
  });
  const missing = new Set(Array.from({ length: 60 }, (_, i) => `${i} to ${place}`));
  for (const text of missing) await page.evaluate((text) => window.session.send(text), text);
  await until(async () => {
    for (const { text } of (await reports()).flatMap(({ items }) => items)) missing.delete(text as string);
    return missing.size === 0 || undefined;
  });
  const refused = answers.findIndex(({ status }) => status === 429);
  expect(refused).not.toBe(-1);
  // The first pause is 2.5 s at least, however often it is asked to send.
  expect(answers[refused + 1]!.at - answers[refused]!.at).toBeGreaterThanOrEqual(2_400);

  // How long it wants to be left alone can be read.
  const wanted = await page.evaluate(async (endpoint) => {
    for (;;) {
      const { status, headers } = await fetch(endpoint, { method: 'POST', body: 'no report' });
      if (status === 429) return headers.get('Retry-After');
    }
  }, endpoint);
  expect(Number(wanted)).toBeGreaterThan(0);
  await page.close();
}, 60_000);
