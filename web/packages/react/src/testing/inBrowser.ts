import type { Findings } from './probe';
import type { Reading } from './readings';
import type { Place } from './trial';

/** What is used of Playwright's `CDPSession`. */
export interface DevtoolsSession {
  send(method: string, params?: object): Promise<unknown>;
  detach(): Promise<void>;
}

/** What is used of Playwright's `Page`; it is not imported, so that one need not have it. */
export interface BrowserPage {
  url(): string;
  context(): { newCDPSession(page: never): Promise<DevtoolsSession> };
}

interface Evaluated {
  readonly result: { readonly value?: unknown };
  readonly exceptionDetails?: { readonly text: string; readonly exception?: { readonly description?: string } };
}

interface HeapUsage {
  readonly usedSize: number;
  // Older browsers do not tell these.
  readonly embedderHeapUsedSize?: number;
  readonly backingStorageSize?: number;
}

/** React finishes an update, and the browser what it does after a collection, in tasks of their own, within this time. */
const taskMs = 40;

const probe = `globalThis[Symbol.for('memwarden.probe')]`;

async function openDevtools(page: BrowserPage): Promise<DevtoolsSession> {
  try {
    return await page.context().newCDPSession(page as never);
  } catch (cause) {
    throw new Error('expectNoLeaks: this needs Chromium, which alone can be told to collect garbage; leave the test out for other browsers', { cause });
  }
}

/** The script that the package brings along; see page.ts. */
async function readScript(): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  return readFile(new URL('./testing-page.js', import.meta.url), 'utf8');
}

/** The page that Playwright shows. Nothing in it waits: a test may have stopped its clock. */
export function inBrowser(page: BrowserPage): Place {
  let devtools: DevtoolsSession;
  let begun = false;
  let lookedAt = -1;

  const evaluate = async (expression: string): Promise<unknown> => {
    const { result, exceptionDetails } = (await devtools.send('Runtime.evaluate', { expression, returnByValue: true })) as Evaluated;
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };

  const left = (cause?: unknown) =>
    new Error(
      `expectNoLeaks: the scenario loaded a page anew, now ${page.url()}, and with the old one all that could leak is gone. Go from view to view as users do, by links and buttons of the page, not by goto, reload or links to other pages`,
      { cause },
    );

  return {
    settleMs: 5_000,
    async open() {
      devtools = await openDevtools(page);
    },
    async begin(minSurvivors) {
      await evaluate(`(() => { ${await readScript()}\n; probe.start(${minSurvivors}); })()`);
      begun = true;
    },
    async look() {
      await new Promise((resolve) => setTimeout(resolve, taskMs));
      const findings = (await evaluate(`${probe}?.look()`).catch((error: Error) => {
        throw /navigated|execution context/.test(error.message) ? left(error) : error;
      })) as Findings | undefined;
      if (!findings) throw left();
      if (findings.at === lookedAt) throw new Error('expectNoLeaks: the clock of the page stands still; let it run: page.clock.resume()');
      lookedAt = findings.at;
      return findings;
    },
    async collect(): Promise<Reading> {
      // What was written to the console is kept for tools that look at it, as Playwright does.
      await devtools.send('Runtime.discardConsoleEntries');
      await devtools.send('HeapProfiler.collectGarbage');
      const heap = (await devtools.send('Runtime.getHeapUsage')) as HeapUsage;
      const { nodes, jsEventListeners } = (await devtools.send('Memory.getDOMCounters')) as { nodes: number; jsEventListeners: number };
      return { heapBytes: heap.usedSize + (heap.embedderHeapUsedSize ?? 0) + (heap.backingStorageSize ?? 0), nodes, listeners: jsEventListeners };
    },
    async close() {
      try {
        if (begun) await evaluate(`(${probe}?.stop(), delete ${probe})`);
        await devtools.detach();
      } catch {
        // The page was closed, or is on its way to another one: the probe went with it.
      }
    },
  };
}
