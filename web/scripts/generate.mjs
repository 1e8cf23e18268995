// Writes the types of the service's API from server/openapi.yaml; with --check it only tells whether they are fresh.
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const source = new URL('../../server/openapi.yaml', import.meta.url);
const target = new URL('../packages/client/src/api.gen.ts', import.meta.url);

const types = '// Made from server/openapi.yaml by "npm run generate"; do not edit.\n\n' + astToString(await openapiTS(source));
if (!process.argv.includes('--check')) {
  await writeFile(target, types);
} else if ((await readFile(target, 'utf8').catch(() => '')) !== types) {
  console.error('packages/client/src/api.gen.ts is not what server/openapi.yaml says: run "npm run generate" in web/');
  process.exit(1);
}
