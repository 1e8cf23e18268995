import type { components } from './api.gen';

/** The body of POST /api/monitoring/frontend/reports. */
export type FrontendReport = components['schemas']['FrontendReport'];
export type ReportItem = FrontendReport['items'][number];

/** How many items wait to be sent; then the oldest make room. */
export const maxItems = 500;
/** What one body takes at most. Browsers share 64 KiB among all that is sent as a page goes. */
export const maxBodyBytes = 16 << 10;
/** How many bodies are sent as the page goes. */
const maxLeavingBodies = 3;
const firstPauseMs = 5_000;
const longestPauseMs = 300_000;

export interface TransportOptions {
  /** Where reports are posted to. */
  readonly endpoint: string;
  readonly release?: string | undefined;
}

export interface Transport {
  /** Queues an item; it is encoded at once, and dropped if it alone is too large for a body. */
  add(item: ReportItem): void;
  /** Sends what waits, one body after the other, unless a pause that the service asked for is not over. */
  flush(): Promise<void>;
  /** Sends what fits as the page goes; nothing tells what became of it. */
  leave(): void;
  /** What was lost: pushed out of the queue, too large, or refused by the service. */
  dropped(): number;
}

/** Sends as the page goes, by what the browser has for it, and tells whether it was taken. */
function sendLast(url: string, body: string): boolean {
  const { fetchLater } = globalThis as { fetchLater?: (url: string, init: object) => unknown };
  try {
    if (fetchLater) {
      fetchLater(url, { method: 'POST', body, activateAfter: 0 });
      return true;
    }
  } catch {
    // Its quota is used up, or the page's policy forbids it: a beacon may still go.
  }
  if (navigator.sendBeacon?.(url, body)) return true;
  // No answer is waited for: the page may be gone before one comes, and what failed cannot be told to anyone.
  fetch(url, { method: 'POST', body, keepalive: true, mode: 'no-cors' }).catch(() => undefined);
  return true;
}

export function createTransport({ endpoint, release }: TransportOptions): Transport {
  const queue: string[] = [];
  let dropped = 0;
  // A body whose answer was not heard is sent again as it was: the service keeps equal bodies once.
  let pending: { text: string; items: number } | undefined;
  let pauseMs = 0;
  let notBefore = 0;
  let sending: Promise<void> | undefined;

  const bytes = (text: string) => new Blob([text]).size;

  const takeBody = () => {
    if (!pending && queue.length) {
      // Nothing of an address but its path: queries and fragments may hold what is secret.
      const page = (location.origin + location.pathname).slice(0, 2048);
      const head = JSON.stringify({ schema: 1, release, page, sent_at: new Date().toISOString() }).slice(0, -1) + ',"items":[';
      let left = maxBodyBytes - bytes(head) - 2;
      let items = 0;
      while (items < queue.length && (left -= bytes(queue[items]!) + 1) >= 0) items++;
      pending = { text: head + queue.splice(0, items).join() + ']}', items };
    }
    return pending;
  };

  const wait = (seconds: number) => {
    pauseMs = Math.min(longestPauseMs, Math.max(firstPauseMs, pauseMs * 2));
    notBefore = Date.now() + Math.max(seconds * 1000, pauseMs * (0.5 + Math.random() / 2));
  };

  const send = async () => {
    const foreign = new URL(endpoint, location.href).origin !== location.origin;
    let body;
    while (Date.now() >= notBefore && (body = takeBody())) {
      try {
        // Text needs no permission to be sent elsewhere; the answer then cannot be read, and counts as yes.
        const answer = await fetch(endpoint, { method: 'POST', body: body.text, mode: foreign ? 'no-cors' : 'same-origin' });
        if (answer.status === 429 || answer.status >= 500) {
          wait(Number(answer.headers.get('Retry-After')) || 0);
          return;
        }
        if (answer.status >= 400) dropped += body.items;
        pauseMs = 0;
        // Meanwhile the page may have been left, and the body sent once more.
        if (pending === body) pending = undefined;
      } catch {
        // No network, or a filter: the items stay in the queue, whose bound says how long.
        wait(0);
      }
    }
  };

  return {
    add(item) {
      const text = JSON.stringify(item);
      if (bytes(text) > maxBodyBytes - 4096) {
        dropped++;
        return;
      }
      queue.push(text);
      if (queue.length > maxItems) {
        queue.shift();
        dropped++;
      }
    },
    flush: () => (sending ??= send().finally(() => (sending = undefined))),
    leave() {
      for (let i = 0; i < maxLeavingBodies && takeBody() && sendLast(endpoint, pending!.text); i++) pending = undefined;
    },
    dropped: () => dropped,
  };
}
