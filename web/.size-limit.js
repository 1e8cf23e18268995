/** What is measured is what is shipped: with the options of this directory's compiler esbuild would take the sources in its place. */
const modifyEsbuildConfig = (config) => ({ ...config, tsconfigRaw: {} });

export default [
  { name: 'client', path: 'tests/size/client.js', limit: '2.44 kB' },
  { name: 'client and react', path: 'tests/size/react.js', ignore: ['react'], limit: '3.02 kB' },
  { name: 'client, react, leaks and adapters, for production', path: 'tests/size/production.js', ignore: ['react', 'swr'], limit: '5.35 kB' },
  { name: 'the same with the bookkeeping of holders', path: 'tests/size/all.js', ignore: ['react', 'swr'], limit: '6 kB' },
].map((check) => ({ ...check, modifyEsbuildConfig }));
