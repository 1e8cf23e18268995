/** What is used of React's own record of a component. None of it is promised: where it is missing, nothing is found. */
export interface Fiber {
  readonly tag: number;
  readonly type: unknown;
  readonly return: Fiber | null;
  readonly child: Fiber | null;
  readonly sibling: Fiber | null;
  readonly alternate: Fiber | null;
}

const prefix = '__reactFiber$';
let key = '';

/** The fiber that React noted on an element that it made. Its key has a random end for each copy of React. */
export function fiberOf(node: Node): Fiber | undefined {
  const noted = node as Node & Record<string, Fiber | undefined>;
  const known = noted[key];
  if (known) return known;
  const found = Object.keys(node).find((name) => name.startsWith(prefix));
  if (!found) return undefined;
  key = found;
  return noted[found];
}

/** The name of a component's type; undefined if it is no component. */
export function nameOf(type: unknown): string | undefined {
  if (typeof type === 'function') return (type as { displayName?: string }).displayName || type.name || 'anonymous';
  if (typeof type !== 'object' || type === null) return undefined;
  const { displayName, render, type: inner } = type as { displayName?: string; render?: unknown; type?: unknown };
  const wrapped = render ?? inner;
  return wrapped ? displayName || nameOf(wrapped) : undefined;
}

/** The names of the components above, the nearest first. */
export function ownersOf(fiber: Fiber, most: number): string[] {
  const names: string[] = [];
  for (let above = fiber.return; above && names.length < most; above = above.return) {
    const name = nameOf(above.type);
    if (name) names.push(name);
  }
  return names;
}

/** Whether React has cut a fiber off its tree, as it does with all of what it removes, after its effects have run. */
export function isCutOff(fiber: Fiber): boolean {
  return fiber.return === null;
}
