// @vitest-environment node
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTransport, maxBodyBytes, maxItems, type FrontendReport } from '../src/transport';

/** A server that answers as told and keeps what it was sent. */
let server: Server;
let endpoint: string;
let bodies: string[];
let answers: [status: number, headers?: Record<string, string>][];

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

beforeEach(async () => {
  bodies = [];
  answers = [];
  server = createServer((request, response) => {
    void textOf(request).then((text) => {
      bodies.push(text);
      const [status, headers] = answers.shift() ?? [201];
      response.writeHead(status, headers).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  endpoint = origin + '/api/monitoring/frontend/reports';
  vi.stubGlobal('location', new URL(origin + '/cart?token=secret#part'));
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  server.closeAllConnections();
  server.close();
});

/** An item as it is sent. */
const note = (fields: object = {}): unknown => ({ kind: 'note', at: expect.any(String), ...fields });
const reports = () => bodies.map((body) => JSON.parse(body) as FrontendReport);

describe('flush', () => {
  test('sends what waits, in the form of the service', async () => {
    const transport = createTransport(endpoint, '1.2.3');
    transport.report('note', { n: 1 });
    transport.report('note', { n: 2 });
    await transport.flush();
    const { sent_at: sentAt, ...rest } = reports()[0]!;
    expect(Date.parse(sentAt)).toBeGreaterThan(0);
    expect(rest).toEqual({
      schema: 1,
      release: '1.2.3',
      page: new URL('/cart', endpoint).href,
      items: [note({ n: 1 }), note({ n: 2 })],
    });
    await transport.flush();
    expect(bodies).toHaveLength(1);
  });

  test('splits what is too much for one body', async () => {
    const transport = createTransport(endpoint);
    for (let n = 0; n < 20; n++) transport.report('note', { n, text: 'é'.repeat(1500) });
    await transport.flush();
    expect(reports().flatMap((report) => report.items.map((one) => one.n))).toEqual([...Array(20).keys()]);
    expect(bodies.length).toBeGreaterThan(3);
    for (const body of bodies) expect(Buffer.byteLength(body)).toBeLessThanOrEqual(maxBodyBytes);
  });

  test('waits as long as it is asked to, then sends the same body again', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    answers = [[429, { 'Retry-After': '20' }]];
    const transport = createTransport(endpoint);
    transport.report('note', {});
    await transport.flush();
    vi.advanceTimersByTime(19_000);
    await transport.flush();
    expect(bodies).toHaveLength(1);
    transport.report('note', { later: true });
    vi.advanceTimersByTime(1_001);
    await transport.flush();
    expect(bodies).toHaveLength(3);
    expect(bodies[1]).toBe(bodies[0]);
    expect(reports()[2]!.items).toEqual([note({ later: true })]);
  });

  test('backs off further with each failure, and keeps what waits', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const transport = createTransport(endpoint);
    transport.report('note', {});
    answers = Array.from({ length: 50 }, () => [503]);
    for (let second = 0; second < 60; second++) {
      await transport.flush();
      vi.advanceTimersByTime(1_000);
    }
    expect(bodies.length).toBeGreaterThanOrEqual(3);
    expect(bodies.length).toBeLessThanOrEqual(8);
    answers = [];
    vi.advanceTimersByTime(300_000);
    const before = bodies.length;
    await transport.flush();
    expect(bodies).toHaveLength(before + 1);
    expect(transport.dropped()).toBe(0);
  });

  test('gives up a body that the service refuses', async () => {
    answers = [[422]];
    const transport = createTransport(endpoint);
    transport.report('note', { bad: true });
    await transport.flush();
    expect(transport.dropped()).toBe(1);
    transport.report('note', { good: true });
    await transport.flush();
    expect(reports()[1]!.items).toEqual([note({ good: true })]);
  });

  test('keeps everything where there is no network', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const port = (server.address() as AddressInfo).port;
    const transport = createTransport(endpoint);
    transport.report('note', {});
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await transport.flush();
    expect(bodies).toHaveLength(0);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    vi.advanceTimersByTime(10_000);
    await transport.flush();
    expect(bodies).toHaveLength(1);
  });

  test('keeps everything where a page’s own fetch throws', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const transport = createTransport(endpoint);
    transport.report('note', {});
    vi.stubGlobal('fetch', () => {
      throw new Error('no');
    });
    await transport.flush();
    vi.unstubAllGlobals();
    vi.advanceTimersByTime(10_000);
    await transport.flush();
    expect(bodies).toHaveLength(1);
  });
});

test('names are written in snake case, texts and numbers as they are', async () => {
  const transport = createTransport(endpoint);
  const texts = { plain: 'camelCase', quoted: 'say "camelCase": yes', json: '{"camelCase":1}', list: ['"aB":', 'aB'] };
  transport.report('note', { ...texts, innerName: { deepName: 1.23456, nothing: null } });
  await transport.flush();
  expect(reports()[0]!.items).toEqual([note({ ...texts, inner_name: { deep_name: 1.23456, nothing: null } })]);
});

test('without an endpoint nothing is queued', async () => {
  const transport = createTransport('');
  for (let n = 0; n < maxItems + 7; n++) transport.report('note', { n });
  expect(transport.dropped()).toBe(0);
  await transport.flush();
  transport.leave();
  expect(bodies).toHaveLength(0);
});

test('the oldest make room', async () => {
  const transport = createTransport(endpoint);
  for (let n = 0; n < maxItems + 7; n++) transport.report('note', { n });
  expect(transport.dropped()).toBe(7);
  await transport.flush();
  expect(reports()[0]!.items[0]!.n).toBe(7);
});

test('an item that fits no body is dropped', () => {
  const transport = createTransport(endpoint);
  transport.report('note', { text: 'x'.repeat(maxBodyBytes) });
  expect(transport.dropped()).toBe(1);
});

describe('leave', () => {
  test('leaves a service alone that asked for a pause, and keeps what waits', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const beacons: string[] = [];
    vi.stubGlobal('navigator', { sendBeacon: (_url: string, body: string) => beacons.push(body) > 0 });
    answers = [[503, { 'Retry-After': '20' }]];
    const transport = createTransport(endpoint);
    transport.report('note', { n: 1 });
    await transport.flush();
    transport.report('note', { n: 2 });
    for (let switches = 0; switches < 5; switches++) transport.leave();
    vi.advanceTimersByTime(19_000);
    transport.leave();
    expect(beacons).toEqual([]);
    expect(transport.dropped()).toBe(0);
    vi.advanceTimersByTime(1_001);
    transport.leave();
    expect(beacons.map((body) => (JSON.parse(body) as FrontendReport).items)).toEqual([[note({ n: 1 })], [note({ n: 2 })]]);
    expect(beacons[0]).toBe(bodies[0]);
    expect(bodies).toHaveLength(1);
  });

  test('while a body is on its way sends it again, and what came since', async () => {
    const beacons: string[] = [];
    vi.stubGlobal('navigator', { sendBeacon: (_url: string, body: string) => beacons.push(body) > 0 });
    answers = [[422]];
    const transport = createTransport(endpoint);
    transport.report('note', { n: 1 });
    const flushed = transport.flush();
    transport.report('note', { n: 2 });
    transport.leave();
    await flushed;
    expect(beacons).toHaveLength(2);
    expect(bodies).toEqual([beacons[0]]);
    expect(transport.dropped()).toBe(1);
  });

  test('sends by beacon', () => {
    const beacons: string[] = [];
    vi.stubGlobal('navigator', { sendBeacon: (_url: string, body: string) => beacons.push(body) > 0 });
    const transport = createTransport(endpoint);
    transport.report('note', {});
    transport.leave();
    transport.leave();
    expect(beacons.map((body) => (JSON.parse(body) as FrontendReport).items)).toEqual([[note()]]);
  });

  test('sends by fetch what the browser takes no beacon for', async () => {
    vi.stubGlobal('navigator', { sendBeacon: () => false });
    const transport = createTransport(endpoint);
    transport.report('note', {});
    transport.leave();
    await vi.waitFor(() => expect(bodies).toHaveLength(1));
  });

  test('sends by fetchLater where there is one, by beacon where its quota is used up', () => {
    const sent: string[] = [];
    vi.stubGlobal('fetchLater', () => {
      if (sent.length) throw new DOMException('too much', 'QuotaExceededError');
      sent.push('later');
    });
    vi.stubGlobal('navigator', { sendBeacon: () => sent.push('beacon') > 0 });
    const transport = createTransport(endpoint);
    for (let n = 0; n < 2; n++) {
      transport.report('note', {});
      transport.leave();
    }
    expect(sent).toEqual(['later', 'beacon']);
  });
});
