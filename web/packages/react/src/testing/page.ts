import { startProbe, type Probe } from './probe';

/* What is brought into a page: built to one script of its own, for pages that know nothing of it. */

/** Where the script leaves its probe, so that it is known whether the page is still the same. */
const key = Symbol.for('memwarden.probe');

export function start(minSurvivors: number): void {
  (globalThis as { [key]?: Probe })[key] = startProbe(minSurvivors);
}
