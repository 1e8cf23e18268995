import path from 'node:path';
import { defineConfig } from 'vitest/config';

const at = (file: string) => path.join(import.meta.dirname, file);
const ours = [
  { find: '@memwarden/react/leaks', replacement: at('packages/react/src/leaks.ts') },
  { find: '@memwarden/client', replacement: at('packages/client/src/index.ts') },
];
const react18 = [
  { find: /^(react|react-dom)(\/.*)?$/, replacement: at('tests/react18/node_modules') + '/$1$2' },
  // Its modules, not what was made of them for CommonJS, which would find the other React.
  { find: '@testing-library/react', replacement: at('node_modules/@testing-library/react/dist/@testing-library/react.esm.js') },
];

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'packages', include: ['tests/packages/*.test.ts'] } },
      { resolve: { alias: ours }, test: { name: 'client', include: ['packages/client/test/*.test.ts'], environment: 'jsdom' } },
      { resolve: { alias: ours }, test: { name: 'react 19', include: ['packages/react/test/**/*.test.{ts,tsx}'], environment: 'jsdom', env: { REACT: '19' } } },
      {
        resolve: { alias: [...ours, ...react18] },
        test: { name: 'react 18', include: ['packages/react/test/*.test.{ts,tsx}'], environment: 'jsdom', env: { REACT: '18' }, server: { deps: { inline: [/@testing-library/] } } },
      },
    ],
  },
});
