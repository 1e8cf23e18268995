export interface Canary {
  /** How many collections were seen. */
  collections(): number;
  /** Lets go of the canaries that are old, and sends out a new one where something was collected since the last. */
  step(): void;
}

/** An object that has survived so many collections is old. */
const oldAfter = 2;

/**
 * Tells of collections of the old generation. A canary is held until small collections of young objects have made it old:
 * what takes it then would have taken any other garbage. For each there is a feather that nobody holds: once that is gone,
 * the canaries have survived one more collection.
 */
export function createCanary(): Canary {
  let collections = 0;
  let dropped = 0;
  let shown = 0;
  let feather = false;
  /** The oldest first. */
  const held: { age: number }[] = [];
  const registry = new FinalizationRegistry<number>((number) => {
    if (!number) {
      feather = false;
      for (const canary of held) canary.age++;
    } else if (number > shown) {
      // Those that one collection took count once.
      collections++;
      shown = dropped;
    }
  });
  return {
    collections: () => collections,
    step() {
      while (held.length && held[0]!.age >= oldAfter) registry.register(held.shift()!, ++dropped);
      if (feather) return;
      feather = true;
      held.push({ age: 0 });
      registry.register({}, 0);
    },
  };
}
