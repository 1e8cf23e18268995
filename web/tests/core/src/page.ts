/* A page with a monitor and nothing else: what the browser itself tells of it, and what it takes from it as the page goes. */
import { createMemoryMonitor, type MemoryStats } from '@memwarden/client';

declare global {
  interface Window {
    core: {
      /** Which ways there are to send something from a page that goes. */
      ways: string[];
      /** Keeps the page from everything else for a while, each time in a frame of its own. */
      block(times: number, ms: number): Promise<void>;
      /** The figures as they are now. */
      read(): MemoryStats;
      /** Queues a note. */
      note(text: string): void;
    };
  }
}

const { way, often, endpoint } = window.options;

const senders: Record<string, object> = { fetchLater: window, sendBeacon: Navigator.prototype, fetch: window };
const ways = Object.keys(senders).filter((name) => name in senders[name]!);
// All but one are taken from the page: what arrives has gone that way.
for (const name of way ? ways : []) if (name !== way) Object.defineProperty(senders[name], name, { value: undefined });

// It is drawn by lot when the whole page is measured, once in five minutes or so; here it is drawn each time.
if (often) Math.random = () => 0;

function blockFor(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

const monitor = createMemoryMonitor({ intervalMs: 100, budget: 1, ...(endpoint && { endpoint }) });

async function block(times: number, ms: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await new Promise<void>((resolve) =>
      requestAnimationFrame(() => {
        document.body.style.outlineWidth = `${i}px`;
        blockFor(ms);
        setTimeout(resolve);
      }),
    );
  }
}

// Before it is watched.
await block(1, 100);
monitor.start();

window.core = { ways, block, read: () => monitor.takeSnapshot('').stats, note: (text) => monitor.report('note', { text }) };
