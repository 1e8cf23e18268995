import { fileURLToPath } from 'node:url';
import { transformAsync } from '@babel/core';
import compiler from 'babel-plugin-react-compiler';
import type { Plugin } from 'vite';

const runtime = fileURLToPath(import.meta.resolve('react-compiler-runtime'));

/** Runs the React Compiler over the sources of a directory, and keeps the names of what it has compiled. */
export function reactCompiler(target: '18' | '19', directory: string, compiled: Set<string>): Plugin {
  const logger = {
    logEvent(_file: string | null, event: { kind: string; fnName?: string | null }) {
      if (event.kind === 'CompileSuccess' && event.fnName) compiled.add(event.fnName);
    },
  };
  return {
    name: 'react-compiler',
    enforce: 'pre',
    // What it has written needs React 18 is in a package, which need not be installed beside the sources.
    config: () => ({ resolve: { alias: [{ find: 'react-compiler-runtime', replacement: runtime }] } }),
    async transform(code, id) {
      if (!id.startsWith(directory)) return undefined;
      const result = await transformAsync(code, {
        filename: id,
        babelrc: false,
        configFile: false,
        sourceMaps: true,
        parserOpts: { plugins: ['typescript', 'jsx'] },
        plugins: [[compiler, { target, logger }]],
      });
      return { code: result!.code!, map: result!.map ?? null };
    },
  };
}
