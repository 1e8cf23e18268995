/** What the monitor itself took of the page's time. */
export interface SelfStats {
  /** In all, in milliseconds: measured, and for commits estimated from their number. */
  readonly ms: number;
  /** Of the time since the last look, from 0 to 1. */
  readonly share: number;
  /** Whether the monitor turned itself off because it took too much. */
  readonly off: boolean;
}

/** What the hook takes for one commit, at most; `npm run bench` measures it. No clock is read there. */
export const commitCostMs = 0.0005;

/** So many looks in a row over the budget turn the monitor off. */
const patience = 3;

export interface Budget {
  /** Runs something of the monitor's own, and adds what it took. */
  run(task: () => void): void;
  /** Judges the time since the last look, with the number of commits that were counted in it. */
  look(commits: number): SelfStats;
}

/** budget is the share of the page's time that the monitor may take; now reads a monotonic clock in milliseconds. */
export function createBudget(budget: number, now: () => number): Budget {
  let ms = 0;
  let seen = 0;
  let since = now();
  let over = 0;
  return {
    run(task) {
      const began = now();
      try {
        task();
      } finally {
        ms += now() - began;
      }
    },
    look(commits) {
      ms += commits * commitCostMs;
      const at = now();
      const share = (ms - seen) / (at - since || Infinity);
      seen = ms;
      since = at;
      over = share > budget ? over + 1 : 0;
      return { ms, share, off: over >= patience };
    },
  };
}
