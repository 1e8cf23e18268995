import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: ['src/index.ts', 'src/leaks.ts', 'src/overlay.ts', 'src/adapters/{tanstack,swr,apollo}.ts'],
  format: 'esm',
  dts: true,
  platform: 'browser',
  target: 'es2022',
  minify: { compress: true, mangle: false, codegen: false },
  outExtensions: () => ({ js: '.js', dts: '.d.ts' }),
});
