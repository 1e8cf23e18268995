import type { ComponentRecord } from '@memwarden/client';

/**
 * A mounted component: called from an effect that runs after each commit, with something that is new for each render, it
 * counts and returns the effect's cleanup. React runs effects twice in StrictMode, and again when it shows hidden content:
 * the same render counts once, and an instance that comes back is the same instance.
 */
export type Instance = (render: unknown) => (() => void) | undefined;

/** Counts from the first commit on for which there is a record. */
export function createInstance(find: () => ComponentRecord | undefined): Instance {
  let record: ComponentRecord | undefined;
  let last: unknown;
  return (render) => {
    record ??= find();
    if (!record) return undefined;
    if (last !== render) {
      if (!last) record.mounts++;
      last = render;
      record.commits++;
    }
    record.live++;
    return () => {
      record!.live--;
    };
  };
}
