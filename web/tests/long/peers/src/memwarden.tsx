import { useState } from 'react';
import { createMemoryMonitor, type MemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { watchLeaks } from '@memwarden/react/leaks';
import { offer } from './bench';

function Row({ n }: { n: number }) {
  usePerformanceTracking('Row');
  const [value] = useState(n);
  return <i>{value}</i>;
}

const { sampled = true, watched = true } = window.options;
const monitor = createMemoryMonitor({ sampleRate: sampled ? 1 : 0 });
let slices: number[] = [];
/** A monitor that tells how long each slice of the probes' work took. */
const timed: MemoryMonitor = {
  ...monitor,
  run(task) {
    const began = performance.now();
    task();
    slices.push(performance.now() - began);
  },
};
const watch = watched ? watchLeaks(timed, { sweepMs: 200 }) : undefined;

offer({
  Row,
  around: (page) => <MemoryMonitorProvider monitor={timed}>{page}</MemoryMonitorProvider>,
  async look() {
    slices = [];
    await new Promise((resolve) => setTimeout(resolve, 500)); // it looks by itself, in slices
    const began = performance.now();
    watch?.sweep();
    return { totalMs: performance.now() - began, longestMs: Math.max(0, ...slices) };
  },
});
