import { useEffect } from 'react';
import type { MemoryMonitor } from '@memwarden/client';
import { useMemoryMonitor } from '../context';
import { showOverlay, type OverlayPosition } from './show';

export interface MemoryOverlayProps {
  /** Whose figures are shown; default that of the nearest provider. */
  readonly monitor?: MemoryMonitor;
  /** Default `bottom-right`. */
  readonly position?: OverlayPosition;
  /**
   * Opens and closes it: keys as `aria-keyshortcuts` writes them, such as `Alt+Shift+M`, which is the default, or `F8`.
   * With an empty one it is opened by its button alone.
   */
  readonly shortcut?: string;
  /** Whether it is open at first; default no. */
  readonly defaultOpen?: boolean;
}

/**
 * Shows what a monitor knows of the page, for development. It is no part of what React renders, so that it is in none of
 * the figures: it is put beside the page, in a shadow root. On a server there is nothing of it.
 */
export function MemoryOverlay({ monitor, position = 'bottom-right', shortcut = 'Alt+Shift+M', defaultOpen = false }: MemoryOverlayProps): null {
  const provided = useMemoryMonitor();
  const watched = monitor ?? provided;
  useEffect(() => {
    if (watched) return showOverlay(watched, { position, shortcut, open: defaultOpen });
    console.warn('MemoryOverlay: it has no monitor, and there is no MemoryMonitorProvider above it');
    return undefined;
  }, [watched, position, shortcut, defaultOpen]);
  return null;
}
