import { createReactMemoryScan } from '@memlab/lens/dist/memlens.lib.bundle.js';
import { offer } from './bench';

// It scans when it is told to: each second, as it does by default, would fall into what is measured.
const lens = createReactMemoryScan({ scanIntervalMs: 1 << 30, trackEventListenerLeaks: true });
lens.start();

offer({
  async look() {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const began = performance.now();
    lens.scan();
    const took = performance.now() - began;
    return { totalMs: took, longestMs: took };
  },
});
