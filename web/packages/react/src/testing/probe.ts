import { createMemoryMonitor } from '@memwarden/client';
import { createCanary } from '../leaks/canary';
import { page, type Guest } from '../leaks/guest';
import { keepHolders } from '../leaks/holders';
import type { Released } from '../leaks/cohort';
import { watchLeaks, type LeakReport } from '../leaks/watch';

/** What a probe knows after it has looked. */
export interface Findings {
  /** Milliseconds of the page's clock. */
  readonly at: number;
  /** Collections that were seen since the probe was started. */
  readonly collections: number;
  readonly released: readonly Released[];
  readonly leaks: readonly LeakReport[];
}

/** Watches a document for the time of a test. It uses no timer, since tests put false ones in their place. */
export interface Probe {
  /** Notes what has ended since the last look, and judges what ended before. */
  look(): Findings;
  stop(): void;
}

const never = 1e9;

export function startProbe(minSurvivors: number): Probe {
  if (page.__memwarden) throw new Error('expectNoLeaks: one is under way on this page already; let it end first');
  // A test looks when it likes, at any cost.
  const monitor = createMemoryMonitor({ sampleRate: 1, budget: 1, intervalMs: never });
  const watch = watchLeaks(monitor, { minSurvivors, minAgeMs: 0, sweepMs: never, holders: keepHolders() });
  const canary = createCanary();
  const end = monitor.start();
  const guest: Guest = (object, name) => {
    // Else the watch would tell the guest, which is itself.
    page.__memwarden = undefined;
    const endTracking = watch.track(object, name);
    page.__memwarden = guest;
    return endTracking;
  };
  page.__memwarden = guest;
  return {
    look() {
      watch.sweep();
      return { at: performance.now(), collections: canary(), released: watch.released(), leaks: watch.leaks() };
    },
    stop() {
      page.__memwarden = undefined;
      watch.stop();
      end();
    },
  };
}
