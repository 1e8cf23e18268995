/** Takes what the page tracks, as a watch's `track` does. */
export type Guest = (object: object, name: string) => () => void;

/**
 * Where a test that has brought a watch into the page leaves its guest: it is told of everything that is tracked, in the
 * place of the page's own watch, and whether the page is sampled or not.
 */
export const page = globalThis as { __memwarden?: Guest | undefined };
