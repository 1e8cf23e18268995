/** The bundle that MemLens is published as has its types beside it. */
declare module '@memlab/lens/dist/memlens.lib.bundle.js' {
  export { createReactMemoryScan } from '@memlab/lens/dist/memlens.lib';
  export type { ScanResult } from '@memlab/lens/dist/core/types';
}
