// Everything that clients, pages and an administrator do, mixed, for as long and by as many as the command line says:
//
//   k6 run tests/load/memory-stress.js --vus 100 --duration 30m
//
// `make load` and `make load-full` start a service under a memory limit for it. lib.js lists the environment.
import { sleep } from 'k6';
import { administration, live, oneOf, reads, streams, thresholds, writes } from './lib.js';

export const options = { vus: 100, duration: '30m', thresholds };

const mix = [...reads, ...streams, ...writes, ...administration];

export default function () {
  sleep(0.5 + Math.random()); // think first, so that clients do not come all at once
  const action = oneOf(mix);
  if (action === live) live(5 + 10 * Math.random());
  else action();
}
