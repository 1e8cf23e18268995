import type { LeakWatch } from './watch';

const key = Symbol.for('memwarden.guest');
const page = globalThis as { [key]?: LeakWatch | undefined };

/** The watch that a test has brought into the page. It is told what the page tracks, whether the page is sampled or not. */
export function guestWatch(): LeakWatch | undefined {
  return page[key];
}

export function setGuestWatch(watch: LeakWatch | undefined): void {
  page[key] = watch;
}
