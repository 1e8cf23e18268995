import { lazy, Suspense } from 'react';

// Where the bundler knows that this is no development, nothing of the overlay is in what it makes.
const MemoryOverlay = process.env.NODE_ENV === 'development' ? lazy(() => import('@memwarden/react/overlay')) : () => null;

export function DevelopmentTools() {
  return (
    <Suspense>
      <MemoryOverlay position="bottom-left" shortcut="Alt+Shift+M" />
    </Suspense>
  );
}
