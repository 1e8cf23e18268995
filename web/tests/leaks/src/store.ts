/** What a page keeps for its whole life, and what leaking components therefore leave behind. */
export const kept: unknown[] = [];

export type Listener = (value: number) => void;

/** A store as every page has one. */
export const store = {
  listeners: new Set<Listener>(),
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  },
};

/** How many ends are still to come. */
export const pending = { count: 0 };
