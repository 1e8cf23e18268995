import { defineConfig } from 'vitest/config';

// One file after the other: what waits for the browser has no use for half a processor.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['leaks/*.test.ts', 'holders/*.test.ts', 'core/*.test.ts', 'commits/*.test.ts', 'service/*.test.ts', 'overlay/*.test.ts', 'kit/*.test.ts'],
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
