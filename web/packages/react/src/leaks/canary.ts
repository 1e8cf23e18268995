/** An object that has survived so many collections is old. */
const oldAfter = 2;

/**
 * Counts collections of the old generation, as seen at the calls of the function that it returns. A canary is held until
 * small collections of young objects have made it old: what takes it then would have taken any other garbage. With each one
 * a feather goes out that nobody holds; only when that was taken follows the next, so that each canary has survived one
 * collection more than the one after it.
 */
export function createCanary(): () => number {
  let collections = 0;
  let feather: WeakRef<object> | undefined;
  let released: WeakRef<object> | undefined;
  /** The oldest first. */
  const held: object[] = [];
  return () => {
    if (released && !released.deref()) {
      collections++;
      released = undefined;
    }
    if (!feather?.deref()) {
      feather = new WeakRef({});
      if (held.length <= oldAfter) held.push({});
      if (!released && held.length > oldAfter) released = new WeakRef(held.shift()!);
    }
    return collections;
  };
}
