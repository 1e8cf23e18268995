import type { ComponentRecord } from '@memwarden/client';

/**
 * A mounted component. `commit` is called from an effect that runs after each commit, with something that is new for each
 * render, and returns the effect's cleanup. React runs effects twice in StrictMode, and again when it shows hidden
 * content: the same render counts once, and an instance that comes back is the same instance.
 */
export interface Instance {
  commit(render: unknown): () => void;
}

export function createInstance(record: ComponentRecord): Instance {
  let last: unknown;
  const release = () => {
    record.live--;
  };
  return {
    commit(render) {
      if (last !== render) {
        if (!last) record.mounts++;
        last = render;
        record.commits++;
      }
      record.live++;
      return release;
    },
  };
}
