import { inBrowser, type BrowserPage } from './testing/inBrowser';
import { inProcess, type Mount } from './testing/inProcess';
import { tryScenario, type LeakTestOptions, type LeakTestResult, type Scenario } from './testing/trial';

export { LeakError } from './testing/trial';
export type { LeakTestOptions, LeakTestResult, Scenario } from './testing/trial';
export type { Reading } from './testing/readings';
export type { BrowserPage, DevtoolsSession } from './testing/inBrowser';
export type { Mount, Mounted } from './testing/inProcess';
export type { LeakKind, Released } from './leaks/cohort';
export type { LeakReport } from './leaks/watch';

/**
 * Repeats a scenario on a page of Playwright, has the browser collect garbage, and throws a LeakError that names what is
 * still there and should not be. The page needs no change; React's components are known by React's own records. Each run
 * must bring the page back to where it began, without loading another one. Chromium only.
 */
export function expectNoLeaks(page: BrowserPage, scenario: Scenario, options?: LeakTestOptions): Promise<LeakTestResult>;
/**
 * The same in this process, as in Vitest with jsdom: mounts something into the document, unmounts it, many times. The
 * scenario returns what unmounts: a function, or something with `unmount()` as Testing Library's `render` and React's
 * `createRoot` return. Node's garbage collector is taken where it can be had, or else `--expose-gc` asked for.
 */
export function expectNoLeaks(scenario: Mount, options?: LeakTestOptions): Promise<LeakTestResult>;
export function expectNoLeaks(
  first: BrowserPage | Mount,
  second?: Scenario | LeakTestOptions,
  third?: LeakTestOptions,
): Promise<LeakTestResult> {
  if (typeof first !== 'function') return tryScenario(inBrowser(first), second as Scenario, third);
  const { place, scenario } = inProcess(first);
  return tryScenario(place, scenario, second as LeakTestOptions | undefined);
}

/** What `test.extend` of Playwright adds to tests. */
export interface LeakFixtures {
  /** `expectNoLeaks` for the test's own page. */
  readonly expectNoLeaks: (scenario: Scenario, options?: LeakTestOptions) => Promise<LeakTestResult>;
}

/** For `test.extend<LeakFixtures>(fixtures)`. Playwright reads the names in the braces, so they stay there. */
export const fixtures = {
  expectNoLeaks: async (
    { page }: { readonly page: BrowserPage },
    provide: (value: LeakFixtures['expectNoLeaks']) => Promise<void>,
  ): Promise<void> => {
    await provide((scenario, options) => expectNoLeaks(page, scenario, options));
  },
};
