// More and more requests a second until the service turns them away, fails or becomes slow: where is its end? It stops
// there, with an exit code other than 0, which is no fault.
//
//   k6 run tests/load/breakpoint.js
import { expectRefusals, measured, oneOf, reads, thresholds, writes } from './lib.js';

const stop = (threshold) => ({ threshold, abortOnFail: true, delayAbortEval: '10s' });

export const options = {
  scenarios: {
    breakpoint: {
      executor: 'ramping-arrival-rate', startRate: 50, timeUnit: '1s', preAllocatedVUs: 100, maxVUs: 500,
      stages: [{ target: 5000, duration: '10m' }],
    },
  },
  thresholds: {
    ...measured,
    http_req_failed: [stop('rate<0.01')],
    refused: [stop('rate<0.05')],
    'http_req_duration{kind:read}': [stop('p(99)<500')],
    dropped_iterations: [stop('count<500')],
    service_rss_bytes: thresholds.service_rss_bytes,
  },
};

expectRefusals();
const mix = [...reads, ...writes];

export default function () {
  oneOf(mix)();
}
