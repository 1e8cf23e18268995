import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** A host of a built page, and of a service that takes whatever is posted to it. */
export interface Files {
  readonly address: string;
  /** The bodies that were posted. */
  readonly posted: string[];
  close(): void;
}

/** Serves the files of directories on the loopback interface; each file is in one of them. */
export async function serveFiles(...directories: string[]): Promise<Files> {
  const posted: string[] = [];
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        posted.push(body);
        response.writeHead(202).end();
      });
      return;
    }
    const { pathname } = new URL(request.url!, 'http://page');
    if (pathname === '/favicon.ico') {
      response.writeHead(204).end();
      return;
    }
    const file = path.normalize(pathname.endsWith('/') ? pathname + 'index.html' : pathname);
    Promise.any(directories.map((directory) => readFile(path.join(directory, file)))).then(
      (content) => response.setHeader('Content-Type', types[path.extname(file)] ?? 'application/octet-stream').end(content),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    posted,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
