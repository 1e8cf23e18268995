import type { Released } from '../leaks/cohort';
import type { LeakReport } from '../leaks/watch';
import { failureMessage } from './message';
import type { Findings } from './probe';
import { heapGrowth, type Reading } from './readings';

/** One run of what a test repeats; afterwards the page is as it was before. */
export type Scenario = () => unknown;

export interface LeakTestOptions {
  /**
   * How often the scenario is repeated and judged; default 10, at least 5. It runs once more before, to fill what is filled
   * once, and once after, because React keeps what it removed last until it commits again.
   */
  readonly cycles?: number;
  /** Names of components, elements and tracked objects that are not judged. */
  readonly ignore?: readonly (string | RegExp)[];
  /** So many survivors of one name at least are a leak; default 5. */
  readonly minSurvivors?: number;
  /** How long survivors are given to go by themselves, by timers or animations; default 5,000 ms in a browser, else 1,000. */
  readonly settleMs?: number;
  /** What the heap may grow by with each cycle, in bytes. Without it growth is told, and is no failure. */
  readonly maxHeapGrowthBytes?: number;
}

export interface LeakTestResult {
  /** Everything that ended and was judged, the ignored too. */
  readonly released: readonly Released[];
  /** What leaks; empty where the test passes. */
  readonly leaks: readonly LeakReport[];
  /** One reading before the first cycle and one after each. */
  readonly readings: readonly Reading[];
}

/** Thrown where something leaks. */
export class LeakError extends Error {
  override readonly name = 'LeakError';
  readonly result: LeakTestResult;
  constructor(message: string, result: LeakTestResult) {
    super(message);
    this.result = result;
  }
}

/** Where a scenario runs: a page of a browser, or the document of this process. */
export interface Place {
  /** How long survivors are given by default; below what runners give a test. */
  readonly settleMs: number;
  /** Gets hold of what it needs, or tells what is missing. */
  open(): Promise<void>;
  begin(minSurvivors: number): Promise<void>;
  /** Lets the page finish what it is about, and looks. Throws where the page is no longer the one that it was. */
  look(): Promise<Findings>;
  /** Has garbage collected, and reads what is left. */
  collect(): Promise<Reading>;
  close(): Promise<void>;
}

/** So many collections after the last cycle make what ended in the one before ripe for a verdict, and one to be sure. */
const collectionsToWait = 3;
/** After so many forced collections of which none was seen, none will be. */
const maxBlind = 50;

// A test may put false timers and a false clock in their place later.
const { setTimeout } = globalThis;
const now = performance.now.bind(performance);
const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));

function check(options: LeakTestOptions, place: Place) {
  const { cycles = 10, minSurvivors = 5, settleMs = place.settleMs, maxHeapGrowthBytes, ignore = [] } = options;
  const need = (ok: boolean, want: string) => {
    if (!ok) throw new RangeError(`expectNoLeaks: ${want}`);
  };
  need(Number.isInteger(cycles) && cycles >= 5, 'cycles: want a whole number, 5 at least');
  need(minSurvivors >= 1 && minSurvivors <= cycles, 'minSurvivors: want 1 to the number of cycles');
  need(settleMs >= 0, 'settleMs: want 0 at least');
  need(maxHeapGrowthBytes === undefined || maxHeapGrowthBytes >= 0, 'maxHeapGrowthBytes: want 0 at least');
  return { cycles, minSurvivors, settleMs, maxHeapGrowthBytes, ignore };
}

async function runCycle(scenario: Scenario, cycle: number): Promise<void> {
  try {
    await scenario();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`expectNoLeaks: the scenario, which passed at first, failed in cycle ${cycle}. Does each run bring the page back to where it began? ${reason}`, { cause });
  }
}

/** Collects and looks until nothing leaks, or what does has had its time to go; each time it waits longer. */
async function settle(place: Place, since: number, isJudged: (one: Released) => boolean, settleMs: number): Promise<Findings> {
  const until = now() + settleMs;
  let waitMs = 50;
  for (let blind = 0; ; blind++) {
    await place.collect();
    const findings = await place.look();
    const left = until - now();
    if (findings.collections - since >= collectionsToWait) {
      if (left <= 0 || !findings.leaks.some(isJudged)) return findings;
      await pause(Math.min((waitMs *= 2), left));
    } else if (blind >= maxBlind) {
      throw new Error('expectNoLeaks: garbage was to be collected and none was, so nothing is known');
    }
  }
}

/** The whole test: a first run, the cycles, collections, the verdict. */
export async function tryScenario(place: Place, scenario: Scenario, options: LeakTestOptions = {}): Promise<LeakTestResult> {
  const { cycles, minSurvivors, settleMs, maxHeapGrowthBytes, ignore } = check(options, place);
  const isJudged = ({ name }: Released) => !ignore.some((each) => (typeof each === 'string' ? each === name : name.search(each) >= 0));
  let findings: Findings;
  const readings: Reading[] = [];
  await place.open();
  try {
    await scenario();
    await place.begin(minSurvivors);
    findings = await place.look();
    readings.push(await place.collect());
    for (let cycle = 1; cycle <= cycles + 1; cycle++) {
      await runCycle(scenario, cycle);
      findings = await place.look();
      if (cycle <= cycles) readings.push(await place.collect());
    }
    findings = await settle(place, findings.collections, isJudged, settleMs);
  } finally {
    await place.close();
  }
  const { released } = findings;
  if (!released.some((one) => one.released)) {
    throw new Error(
      'expectNoLeaks: no component was unmounted and no element removed by the scenario, so there is nothing to judge. Each run is to open something and close it again, in the document',
    );
  }
  const leaks = findings.leaks.filter(isJudged);
  const exceeded = maxHeapGrowthBytes !== undefined && heapGrowth(readings) > maxHeapGrowthBytes ? maxHeapGrowthBytes : undefined;
  const result = { released, leaks, readings };
  if (leaks.length || exceeded !== undefined) {
    throw new LeakError(failureMessage({ ...result, cycles, exceeded }), result);
  }
  return result;
}
