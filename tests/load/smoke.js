// A few clients for half a minute: does every kind of request work at all?
//
//   k6 run tests/load/smoke.js
import { sleep } from 'k6';
import { administration, live, reads, streams, thresholds, writes } from './lib.js';

export const options = { vus: 5, duration: '30s', thresholds };

const all = [...reads, ...writes, ...administration, ...streams].map(([, action]) => action);

export default function () {
  const action = all[(__VU + __ITER) % all.length];
  if (action === live) live(3);
  else action();
  sleep(0.2);
}
