// Installs the packages as a stranger would, from what is published, into the example, and builds that with React 18 and 19.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const web = path.join(import.meta.dirname, '..');
const dir = mkdtempSync(path.join(tmpdir(), 'memwarden-packed-'));
const run = (cwd, ...command) => execFileSync(command[0], command.slice(1), { cwd, stdio: ['ignore', 'pipe', 'inherit'] }).toString();

try {
  run(web, 'npm', 'run', '-s', 'build');
  const tarballs = {};
  for (const name of ['client', 'react']) {
    const [{ filename }] = JSON.parse(run(path.join(web, 'packages', name), 'npm', 'pack', '--json', '--pack-destination', dir));
    tarballs['@memwarden/' + name] = 'file:' + path.join(dir, filename);
  }
  for (const [react, types] of [['18.3.1', '18.3.31'], ['19.3.1', '19.3.0']]) {
    const app = path.join(dir, 'app-' + react);
    cpSync(path.join(web, 'examples/react-vite'), app, { recursive: true, filter: (file) => !file.includes('node_modules') });
    const file = path.join(app, 'package.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8'));
    Object.assign(manifest.dependencies, tarballs, { react, 'react-dom': react });
    Object.assign(manifest.devDependencies, { '@types/react': types, '@types/react-dom': react.startsWith('18') ? '18.3.7' : types });
    manifest.overrides = { '@memwarden/react': { '@memwarden/client': '$@memwarden/client' } };
    writeFileSync(file, JSON.stringify(manifest));
    run(app, 'npm', 'install', '--no-audit', '--no-fund');
    run(app, 'npm', 'run', '-s', 'build');
    console.log(`packed, installed, type-checked and built with React ${react}`);
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
