export interface Canary {
  /** How many collections were seen. */
  collections(): number;
  /** If something was collected since the last step, lets go of a canary that is old, and holds a new one. */
  step(): void;
}

/** An object that has survived so many collections is old. */
const oldAfter = 2;

/**
 * Tells of collections of the old generation. A canary is held until small collections of young objects have made it old:
 * what takes it then would have taken any other garbage. With each one a feather goes out that nobody holds; only when that
 * was taken follows the next, so that each canary has survived one collection more than the one after it.
 */
export function createCanary(): Canary {
  let collections = 0;
  let dropped = 0;
  let shown = 0;
  let feather = false;
  /** The oldest first. */
  const held: object[] = [];
  const registry = new FinalizationRegistry<number>((number) => {
    if (!number) feather = false;
    else if (number > shown) {
      // Those that one collection took count once.
      collections++;
      shown = dropped;
    }
  });
  return {
    collections: () => collections,
    step() {
      if (feather) return;
      feather = true;
      if (held.length >= oldAfter) registry.register(held.shift()!, ++dropped);
      held.push({});
      registry.register({}, 0);
    },
  };
}
