/** Takes what the page tracks, as a watch's `track` does. */
export type Guest = (object: object, name: string) => () => void;

const page = globalThis as { __memwarden?: Guest | undefined };

/** Tells it to the watch that a test has brought into the page, if one is there, whether the page is sampled or not. */
export const tellGuest = (object: object, name: string): (() => void) | undefined => page.__memwarden?.(object, name);

export const hasGuest = (): boolean => page.__memwarden !== undefined;

export function setGuest(guest: Guest | undefined): void {
  page.__memwarden = guest;
}
