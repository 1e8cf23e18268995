import type { ComponentRecord, MemoryMonitor } from '@memwarden/client';

/**
 * What components are counted by: the monitor of the newest provider. It is no context, because to read one in each render
 * takes as long as the counting does.
 */
export const newest: { monitor?: MemoryMonitor } = {};

/**
 * A mounted component: called from an effect that runs after each commit, with something that is new for each render, it
 * counts and returns the effect's cleanup. React runs effects twice in StrictMode, and again when it shows hidden content:
 * the same render counts once, and an instance that comes back is the same instance.
 */
export type Instance = (render: unknown) => (() => void) | undefined;

/** Counts from the first commit on that has a monitor. */
export function createInstance(name: string): Instance {
  let record: ComponentRecord | undefined;
  let last: unknown;
  const release = () => {
    record!.live--;
  };
  return (render) => {
    record ??= newest.monitor?.component(name);
    if (!record) return undefined;
    if (last !== render) {
      if (!last) record.mounts++;
      last = render;
      record.commits++;
    }
    record.live++;
    return release;
  };
}
