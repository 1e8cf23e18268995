'use client';
export { MemoryOverlay, MemoryOverlay as default, type MemoryOverlayProps } from './overlay/MemoryOverlay';
export type { OverlayPosition } from './overlay/show';
