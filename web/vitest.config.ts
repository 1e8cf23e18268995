import path from 'node:path';
import { defineConfig } from 'vitest/config';

const at = (file: string) => path.join(import.meta.dirname, file);
const ours = [
  { find: '@memwarden/client', replacement: at('packages/client/src/index.ts') },
];
const react18 = [{ find: /^(react|react-dom)(\/.*)?$/, replacement: at('tests/react18/node_modules') + '/$1$2' }];

export default defineConfig({
  test: {
    projects: [
      { resolve: { alias: ours }, test: { name: 'client', include: ['packages/client/test/*.test.ts'], environment: 'jsdom' } },
      { resolve: { alias: ours }, test: { name: 'react 19', include: ['packages/react/test/**/*.test.{ts,tsx}'], environment: 'jsdom', env: { REACT: '19' } } },
      {
        resolve: { alias: [...ours, ...react18] },
        test: { name: 'react 18', include: ['packages/react/test/*.test.{ts,tsx}'], environment: 'jsdom', env: { REACT: '18' } },
      },
    ],
  },
});
