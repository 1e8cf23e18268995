// The leak matrix beside MemLens alone; `npm run bench` has it among all that is measured beside others.
import { writeFile } from 'node:fs/promises';
import { report } from './figures';
import { compareLeaks } from './matrix';

compareLeaks(async ({ figures, byComponent }) => {
  const text = `${report(figures)}\n${byComponent}`;
  console.log(text);
  if (process.env.MATRIX) await writeFile(process.env.MATRIX, text);
});
