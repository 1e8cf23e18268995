import { startProbe, type Probe } from './probe';

/* What is brought into a page: built to one script of its own, for pages that know nothing of it. */

/** Where the script leaves its probe, so that it is known whether the page is still the same. */
const key = Symbol.for('memwarden.probe');
const page = globalThis as { [key]?: Probe | undefined };

export function start(minSurvivors: number): void {
  if (page[key]) throw new Error('expectNoLeaks runs on this page already');
  page[key] = startProbe(minSurvivors);
}
