import { defineConfig, type UserConfig } from 'tsdown';

const common: UserConfig = {
  format: 'esm',
  dts: true,
  platform: 'browser',
  target: 'es2022',
  minify: { compress: true, mangle: false, codegen: false },
  outExtensions: () => ({ js: '.js', dts: '.d.ts' }),
};

export default defineConfig([
  {
    ...common,
    entry: ['src/index.ts', 'src/leaks.ts', 'src/overlay.ts', 'src/adapters/{tanstack,swr,apollo}.ts'],
    // What uses React, but for the overlay, is in one file with what it needs: some bundlers import React anew for each file.
    outputOptions: {
      codeSplitting: {
        groups: [{ name: 'hooks', test: /react\/src\/(context|instance|stats|TimedRegion|MemoryMonitorProvider|\w+PerformanceTracking|leaks\/useLeakTracking)\.ts/ }],
      },
    },
  },
  // The test kit shares nothing with what goes into production; it runs beside the tests, and reads what it brings into pages.
  { ...common, entry: ['src/testing.ts'], platform: 'node', clean: false },
  {
    ...common,
    entry: { 'testing-page': 'src/testing/page.ts' },
    clean: false,
    format: 'iife',
    globalName: 'probe',
    dts: false,
    minify: true,
    deps: { alwaysBundle: ['@memwarden/client'] },
    outputOptions: { entryFileNames: '[name].js' },
  },
]);
