import { instrument, traverseRenderedFibers } from 'bippy';

/** Commits by component, which is the least that one would count. */
const commits = new Map<unknown, number>();

instrument({
  onCommitFiberRoot(_renderer, root) {
    traverseRenderedFibers(root, ({ type }, phase) => {
      if (phase !== 'unmount' && typeof type === 'function') commits.set(type, (commits.get(type) ?? 0) + 1);
    });
  },
});
