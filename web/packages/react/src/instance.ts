import type { ComponentRecord, MemoryMonitor } from '@memwarden/client';

/**
 * What components are counted by: the monitor of the newest provider. It is no context, because to read one in each render
 * takes as long as the counting does.
 */
export let newest: MemoryMonitor | undefined;

export function countBy(monitor: MemoryMonitor): void {
  newest = monitor;
}

/**
 * A mounted component. For an effect that runs after each commit it is called with something that is new for each render: it
 * counts, and returns the effect's cleanup. React runs effects twice in StrictMode, and again when it shows hidden content:
 * the same render counts once, and an instance that comes back is the same instance. For an insertion effect that never changes,
 * whose cleanup runs as the component is removed and not as it is hidden, it is called with nothing. That runs again where
 * code is replaced in development, and so was not removed.
 */
export type Instance = (render?: unknown) => (() => void) | undefined;

/** Counts from the first commit on that has a monitor, and no more when the monitor has turned itself off. */
export function createInstance(name: string): Instance {
  let record: ComponentRecord | undefined;
  const release = () => {
    if (record && newest!.active()) record.live--;
  };
  let last: unknown;
  const end = () => {
    if (record && newest!.active()) record.unmounts++;
  };
  return (render) => {
    if (!render) {
      // It did not end.
      if (record) record.unmounts--;
      return end;
    }
    if (!newest?.active()) return undefined;
    record ??= newest.component(name);
    record.live++;
    if (render !== last) {
      record.commits++;
      if (!last) record.mounts++;
      last = render;
    }
    return release;
  };
}
