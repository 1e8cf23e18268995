export interface Canary {
  /** How many collections were seen. */
  collections(): number;
  /** Lets go of the canary that was held since the last step, and holds a new one. */
  step(): void;
}

/**
 * Tells of collections of the old generation. A canary is held from one step to the next, so that small collections of
 * young objects have made it old before it is dropped: what takes it then would have taken any other garbage.
 */
export function createCanary(): Canary {
  let collections = 0;
  let dropped = 0;
  let shown = 0;
  let held: object = {};
  const registry = new FinalizationRegistry<number>((number) => {
    // Those that one collection took count once.
    if (number > shown) {
      collections++;
      shown = dropped;
    }
  });
  return {
    collections: () => collections,
    step() {
      registry.register(held, ++dropped);
      held = {};
    },
  };
}
