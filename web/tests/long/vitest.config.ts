import { defineConfig } from 'vitest/config';

// What takes minutes: packages from their tarballs, tools and applications of others, long use.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['packed/*.test.ts', 'compiler/*.test.ts', 'peers/matrix.test.ts', 'app/*.test.ts', 'use/*.test.ts'],
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
