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
  { ...common, entry: ['src/index.ts', 'src/leaks.ts', 'src/overlay.ts', 'src/adapters/{tanstack,swr,apollo}.ts'] },
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
