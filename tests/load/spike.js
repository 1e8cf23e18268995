// Twenty clients become four hundred within seconds, and go again. The service may turn some of them away, with a time to
// come back; it must not fail, pass its memory, or stay slow afterwards.
//
//   k6 run tests/load/spike.js
import exec from 'k6/execution';
import { sleep } from 'k6';
import { administration, expectRefusals, live, measured, oneOf, reads, streams, thresholds, writes } from './lib.js';

export const options = {
  scenarios: {
    before: { executor: 'constant-vus', vus: 20, duration: '30s' },
    spike: {
      executor: 'ramping-vus', startTime: '30s', startVUs: 20, gracefulRampDown: '20s',
      stages: [{ target: 400, duration: '5s' }, { target: 400, duration: '40s' }, { target: 20, duration: '5s' }],
    },
    after: { executor: 'constant-vus', startTime: '110s', vus: 20, duration: '30s' },
  },
  thresholds: {
    ...measured,
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    service_rss_bytes: thresholds.service_rss_bytes,
    'http_req_duration{kind:read,scenario:before}': ['p(99)<50'],
    'http_req_duration{kind:read,scenario:after}': ['p(99)<50'],
    'refused{scenario:after}': ['rate==0'],
  },
};

expectRefusals();
const mix = [...reads, ...streams, ...writes, ...administration];

export default function () {
  sleep(0.5 + Math.random());
  const action = oneOf(mix);
  if (action === live) live(exec.scenario.name === 'spike' ? 3 : 5);
  else action();
}
