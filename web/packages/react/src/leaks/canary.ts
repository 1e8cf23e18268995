/** An object that has survived so many collections is old. */
const oldAfter = 2;

/**
 * Counts collections of the old generation, as seen at the calls of the function that it returns. One object after the other
 * is let go of, the next when the last was collected: at first two feathers, then canaries, which were held meanwhile and so
 * have grown old. What takes one of these would have taken any other garbage.
 */
export function createCanary(): () => number {
  let collected = -1 - oldAfter;
  let released: WeakRef<object> | undefined;
  /** The oldest first. */
  const held: object[] = [];
  return () => {
    if (!released?.deref()) {
      collected++;
      released = new WeakRef(held.length < oldAfter ? {} : held.shift()!);
      held.push({});
    }
    // Young objects do not count.
    return Math.max(0, collected);
  };
}
