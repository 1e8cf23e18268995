import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { openPages } from '../pages';

// The client posts in a mode that needs no permission elsewhere, and relies on this: at home its answer can be read.
test('a page reads from its own address how long it is to wait, whatever the mode', async () => {
  const busy = createServer((_, response) => response.writeHead(429, { 'Retry-After': '20' }).end());
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
  const pages = await openPages({ service: `http://127.0.0.1:${(busy.address() as AddressInfo).port}` });
  try {
    const { page } = await pages.show('none', {});
    const answer = await page.evaluate(async () => {
      const { status, headers } = await fetch('/api/', { method: 'POST', body: 'text', mode: 'no-cors', keepalive: true });
      return [status, headers.get('Retry-After')];
    });
    expect(answer).toEqual([429, '20']);
  } finally {
    await pages.close();
    busy.close();
  }
}, 60_000);
