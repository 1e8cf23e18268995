/** What is used of React's own record of a component. None of it is promised: where it is missing, nothing is found. */
export interface Fiber {
  readonly type: unknown;
  readonly return: Fiber | null;
  readonly child: Fiber | null;
  readonly sibling: Fiber | null;
  readonly alternate: Fiber | null;
}

let key = '';

/** The fiber that React noted on an element that it made. Its key has a random end for each copy of React. */
export function fiberOf(node: Node): Fiber | undefined {
  if (!(key in node)) key = Object.keys(node).find((name) => /^__reactFiber\$/.test(name)) ?? key;
  return (node as Node & Record<string, Fiber | undefined>)[key];
}

/**
 * The name of a component's type; undefined if it is none. Nor is what `memo` puts around one: React has a record of the one
 * within as well, and to name both would be to count it twice.
 */
export function nameOf(type: unknown): string | undefined {
  const { name, displayName, render } = Object(type) as Record<string, unknown> & { displayName?: string; name?: string };
  if (typeof type === 'function') return displayName || name || 'anonymous';
  return (render && (displayName || nameOf(render))) as string | undefined;
}

/** The names of the components above, the nearest first. */
export function ownersOf(fiber: Fiber | undefined, most: number): string[] {
  const names: string[] = [];
  for (let above = fiber?.return; names.length < most && above; above = above.return) {
    const name = nameOf(above.type);
    if (name) names.push(name);
  }
  return names;
}

/**
 * Whether an element is out of the document, or a fiber out of React's tree: React cuts off all of what it removes, after its
 * effects have run.
 */
export function isOut(one: { readonly isConnected?: boolean; readonly return?: Fiber | null }): boolean {
  return !(one.isConnected ?? one.return);
}
