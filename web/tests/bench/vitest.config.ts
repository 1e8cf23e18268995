import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { root: import.meta.dirname, include: ['*.test.ts', '../long/peers/bench.test.ts'], hookTimeout: 60_000, fileParallelism: false } });
