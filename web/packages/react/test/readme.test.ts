import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const examples = path.join(import.meta.dirname, 'readme');

// The examples are compiled with the tests; what people read is the same text.
test.each(readdirSync(examples))('the README has the example %s as it is compiled', (file) => {
  const readme = readFileSync(path.join(import.meta.dirname, '../README.md'), 'utf8');
  expect(readme).toContain('```tsx\n' + readFileSync(path.join(examples, file), 'utf8') + '```');
});
