import { startProbe, type Probe } from './probe';
import type { Place, Scenario } from './trial';

/** What unmounts again, if the scenario has not done so itself. */
export type Mounted = void | (() => unknown) | { unmount(): unknown };

/** Mounts something into the document. */
export type Mount = () => Mounted | Promise<Mounted>;

// A test may put a false one in its place later.
const { setTimeout } = globalThis;

/** React finishes an update, and Node what it does after a collection, in tasks of their own. */
async function tasks(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise<void>((resolve) => void setTimeout(resolve, 1));
}

/** The collector of this process, which V8 shows to new contexts once it is told to, or to all if it was started so. */
async function findCollector(): Promise<() => void> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc) return () => gc();
  try {
    const [v8, vm] = await Promise.all([import('node:v8'), import('node:vm')]);
    v8.setFlagsFromString('--expose-gc');
    const found: unknown = vm.runInNewContext('gc');
    if (typeof found === 'function') return () => void found();
  } catch (cause) {
    throw new Error(noCollector, { cause });
  }
  throw new Error(noCollector);
}

const noCollector =
  "expectNoLeaks: garbage cannot be collected at will here. Start the process with --expose-gc: in Vitest with execArgv: ['--expose-gc'] among the test's options, in others with node --expose-gc";

/** The document of this process, and a scenario that mounts into it and unmounts. */
export function inProcess(mount: Mount): { place: Place; scenario: Scenario } {
  let collect: () => void;
  let probe: Probe | undefined;
  let lookedAt = -1;

  const scenario = async () => {
    const mounted = await mount();
    // What is mounted is seen before it goes.
    await tasks();
    if (typeof mounted === 'function') await mounted();
    else await mounted?.unmount();
  };

  const place: Place = {
    settleMs: 1_000,
    async open() {
      if (typeof document === 'undefined') {
        throw new Error("expectNoLeaks: there is no document; have the test run in one, in Vitest with environment: 'jsdom', or give a page of Playwright");
      }
      collect = await findCollector();
    },
    async begin(minSurvivors) {
      probe = startProbe(minSurvivors);
    },
    async look() {
      await tasks();
      const findings = probe!.look();
      if (findings.at === lookedAt) throw new Error('expectNoLeaks: the clock stands still; use real timers: vi.useRealTimers()');
      lookedAt = findings.at;
      return findings;
    },
    async collect() {
      // What was just looked at through a weak reference lives until the turn is over.
      await tasks();
      collect();
      await tasks();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return { heapBytes: heapUsed + arrayBuffers };
    },
    async close() {
      probe?.stop();
    },
  };
  return { place, scenario };
}
