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
/** Each pause is twice the one before, and as much again at most by chance. */
const firstPauseMs = 2_500;
const longestPauseMs = 150_000;

export interface Transport {
  /**
   * Queues an item; it is encoded at once, with its names in snake case but for those of caches, and dropped if it alone is too
   * large for a body.
   */
  report(kind: string, fields: object): void;
  /** Sends what waits, one body after the other, unless a pause that the service asked for is not over. */
  flush(): Promise<void>;
  /**
   * Sends what fits as the page goes; nothing tells what became of it. Nothing is sent while that pause is not
   * over: a page may be left many times. What waits is then lost with the page, if it does go.
   */
  leave(): void;
  /** What was lost: pushed out of the queue, too large, or refused by the service. */
  dropped(): number;
}

/** What `fetch` is given, and how many items are in it. */
interface Post extends RequestInit {
  readonly body: string;
  readonly activateAfter: number;
  readonly items: number;
}

/** Where the browser has it, it sends what it was given even if the page is gone by then. */
declare const fetchLater: (url: string, init: object) => unknown;

export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Reports are posted to the endpoint; if there is none nothing is queued, and so nothing sent. */
export function createTransport(endpoint: string | false | undefined, release?: string): Transport {
  // What a body has for its items, beside release and page at their longest. Here, and not above, minifiers write the figure.
  const maxItemBytes = maxBodyBytes - 3072;
  const queue: string[] = [];
  let dropped = 0;
  // What was not answered is sent again as it was: the service keeps equal bodies once. As the page goes all of it is sent.
  let pending: Post | undefined;
  let pauseMs = 0;
  let notBefore = 0;
  let sending: Promise<void> | undefined;

  const next = (): Post | false | undefined => {
    if (!pending && queue.length) {
      // One item fits in any case.
      let left = maxItemBytes;
      let items = 0;
      while (items < queue.length && (left -= bytesOf(queue[items]!) + 1) >= 0) items++;
      const head = JSON.stringify({
        release,
        schema: 1,
        // Nothing of an address but its path: queries and fragments may hold what is secret.
        page: (location.origin + location.pathname).slice(0, 2048),
        sent_at: new Date(),
        items: [],
      });
      // Text may be sent elsewhere unasked. Where the service lets this page read the answer, it is as at home; else it is as if
      // there were no network.
      pending = {
        method: 'POST',
        body: head.slice(0, -2) + queue.splice(0, items) + ']}',
        items,
        activateAfter: 0,
        keepalive: true,
      };
    }
    return Date.now() >= notBefore && pending;
  };

  const send = async () => {
    for (let post; (post = next()); ) {
      // No network, or a filter that throws: as if the service were busy. The items stay in the queue, whose bound says how long.
      let status = 503;
      let headers: Headers | undefined;
      try {
        ({ headers, status } = await fetch(endpoint as string, post));
      } catch {
        // It is as it was.
      }
      if (status < 500 && status !== 429) {
        if (status >= 400) dropped += post.items;
        pauseMs = 0;
        pending = undefined;
      } else {
        pauseMs = Math.min(longestPauseMs, 2 * pauseMs || firstPauseMs);
        notBefore = Date.now() + Math.max((headers?.get('Retry-After') as never) * 1000 || 0, pauseMs * (1 + Math.random()));
      }
    }
  };

  return {
    report(kind, fields) {
      if (!endpoint) return;
      const text = JSON.stringify({ ...fields, at: new Date(), kind })
        // What looks like a name within a text is none: there its quotes have a backslash before them. What has entries is a
        // cache, whose name is what somebody has called it.
        .replace(/[A-Z](?=\w*":(?!{[^}]*"entries"))/g, (letter) => '_' + letter.toLowerCase());
      if (bytesOf(text) >= maxItemBytes || (queue.push(text) > maxItems && queue.shift())) dropped++;
    },
    leave() {
      for (let post, left = maxLeavingBodies; left-- && (post = next()); ) {
        pending = undefined;
        try {
          fetchLater(endpoint as string, post);
        } catch {
          // There is none, its quota is used up, or the page's policy forbids it: a beacon may still go. If it does not, no
          // answer is waited for: the page may be gone before one comes, and what failed cannot be told to anyone.
          if (!navigator.sendBeacon?.(endpoint as string, post.body)) fetch(endpoint as string, post).catch(() => undefined);
        }
      }
    },
    flush: () => (sending ??= send().finally(() => (sending = undefined))),
    dropped: () => dropped,
  };
}
