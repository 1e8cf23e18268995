/** What there is after a collection. It is told beside the verdict, which it does not make: much grows that is no leak. */
export interface Reading {
  /** Objects and the memory of buffers; in browsers that of nodes too. */
  readonly heapBytes: number;
  /** Nodes of documents, detached ones too; browsers alone count them. */
  readonly nodes?: number;
  /** Listeners of events; browsers alone count them. */
  readonly listeners?: number;
}

/** By how many bytes the heap grew with a cycle, of half of the cycles at least: one that grew by more, once, does not count. */
export function heapGrowth(readings: readonly Reading[]): number {
  const steps = readings.slice(1).map(({ heapBytes }, i) => heapBytes - readings[i]!.heapBytes);
  return steps.sort((a, b) => a - b)[Math.floor((steps.length - 1) / 2)] ?? 0;
}
