// What the load scripts of this directory share: where the service is, what its clients do, what is measured.
//
// The scripts run with k6 1 and 2. They read from the environment
//
//   BASE_URL     the service; default http://127.0.0.1:8080
//   ADMIN_TOKEN  its MEMWARDEN_ADMIN_TOKEN; without it nothing is asked of admin routes
//   LIMIT_BYTES  the memory that the service may take; default 256 MiB
//   WARM_UP      seconds before the live heap is judged: caches fill in that time; default 720
//   LOG_REPORTS  1: write the number and key of each accepted report to the console
//
// The service must allow the rates (MEMWARDEN_RATE_LIMIT=0 and the like, see bench/cmd/load): all clients come
// from one address.
import http from 'k6/http';
import exec from 'k6/execution';
import { check } from 'k6';
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';
import { slopeInterval } from './slope.js';

const base = __ENV.BASE_URL || 'http://127.0.0.1:8080';
const token = __ENV.ADMIN_TOKEN || '';
const warmUp = Number(__ENV.WARM_UP || 720);
export const limitBytes = Number(__ENV.LIMIT_BYTES || 256 * 1024 * 1024);

const memory = '/api/monitoring/memory';
const reports = '/api/monitoring/frontend/reports';

// What the service says of itself.
const rss = new Trend('service_rss_bytes');
const liveHeap = new Trend('service_live_heap_bytes');
// The least that the slope of the live heap may be, with 99 % confidence: above 0, it grows.
const slopeLow = new Gauge('service_live_heap_slope_low');
const liveMessages = new Counter('live_messages');
const liveErrors = new Counter('live_errors');
const accepted = new Counter('reports_accepted');
const snapshots = new Counter('snapshots_taken');
const refused = new Rate('refused');

// thresholds hold for every script that does not ask for more than the service is made for.
export const thresholds = {
  http_req_failed: ['rate==0'],
  checks: ['rate==1'],
  'http_req_duration{kind:read}': ['p(95)<25', 'p(99)<50'],
  'http_req_duration{kind:write}': ['p(95)<100', 'p(99)<250'],
  'http_req_duration{kind:admin}': ['p(95)<250', 'p(99)<1000'],
  service_rss_bytes: [`max<=${limitBytes}`],
  service_live_heap_slope_low: ['value<=0'],
  live_errors: ['count==0'],
};

// measured has k6 tell the latencies of each kind in its summary, which it does of what has a threshold: here one that holds.
export const measured = Object.fromEntries(
  ['read', 'write', 'admin'].map((kind) => [`http_req_duration{kind:${kind}}`, ['max>=0']]),
);

// params of a request: what counts as right, and how it is grouped.
function params(kind, name, expected = [200]) {
  const headers = { 'Content-Type': 'application/json' };
  if (kind !== 'read' && token !== '') headers.Authorization = `Bearer ${token}`;
  return { headers, tags: { kind, name }, responseCallback: http.expectedStatuses(...expected) };
}

// refusals says that a script expects to be turned away: what is refused with a time to come back is then no failure.
let refusals = [];
export function expectRefusals() {
  refusals = [429, 503];
}

function judge(answer, expected, what) {
  const turnedAway = refusals.includes(answer.status) && answer.headers['Retry-After'] !== undefined;
  refused.add(turnedAway);
  const right = turnedAway || expected.includes(answer.status);
  check(right, { [what]: (r) => r });
  if (!right) console.error(`${what}: status ${answer.status} ${answer.error || answer.body}`);
  return !turnedAway && right;
}

function get(path, kind = 'read', name = path) {
  const answer = http.get(base + path, params(kind, name, [200, ...refusals]));
  return judge(answer, [200], `GET ${name}`) ? answer : null;
}

function post(path, body, kind, expected) {
  const answer = http.post(base + path, body, params(kind, path, [...expected, ...refusals]));
  return judge(answer, expected, `POST ${path}`) ? answer : null;
}

// Reads.

export function stats() {
  const answer = get(`${memory}/stats`);
  if (answer === null) return;
  const sample = answer.json();
  if (sample.process && sample.process.rss_bytes) rss.add(sample.process.rss_bytes);
  if (!sample.go.heap_live_bytes) return; // before the first collection
  liveHeap.add(sample.go.heap_live_bytes);
  if (exec.vu.idInTest === 1) watchSlope(sample.uptime_seconds, sample.go.heap_live_bytes);
}

// Floors of the live heap, as the first client sees it: the least of each half minute, because what requests under way
// hold comes on top.
const floorSeconds = 30;
const floors = { at: [], bytes: [], began: Date.now() };

function watchSlope(at, bytes) {
  if ((Date.now() - floors.began) / 1000 < warmUp) return;
  const last = floors.at.length - 1;
  if (last >= 0 && at - floors.at[last] < floorSeconds) {
    floors.bytes[last] = Math.min(floors.bytes[last], bytes);
    return;
  }
  const slope = slopeInterval(floors.at, floors.bytes, 0.99);
  if (slope !== null) slopeLow.add(slope.low);
  floors.at.push(at);
  floors.bytes.push(bytes);
}

export const history = () => get(`${memory}/stats?history=1s`, 'read', `${memory}/stats?history=1s`);
export const pressure = () => get(`${memory}/health`);
export const limits = () => get(`${memory}/limits`);
export const leaks = () => get(`${memory}/leaks`);
export const metrics = () => get('/metrics');
export const health = () => get('/api/health');
export const ready = () => get('/readyz');

// live follows the live stream over WebSocket for some seconds; the iteration ends with it.
export function live(seconds = 10) {
  const socket = new WebSocket(base.replace('http', 'ws') + '/api/monitoring/live', null, { tags: { kind: 'live' } });
  let messages = 0;
  let failed = false;
  socket.addEventListener('open', () => setTimeout(() => socket.close(), seconds * 1000));
  socket.addEventListener('message', (event) => {
    messages += 1;
    liveMessages.add(1);
    if (JSON.parse(event.data).type === undefined) failed = true;
  });
  socket.addEventListener('error', (event) => {
    if (refusals.length > 0) return;
    failed = true;
    console.error(`live stream: ${event.error}`);
  });
  socket.addEventListener('close', () => {
    const right = refusals.length > 0 || (!failed && messages > 0);
    check(right, { 'live stream': (r) => r });
    if (!right) liveErrors.add(1);
  });
}

// Writes.

let reportsSent = 0;
let lastReport = null;

// report sends one that nobody has sent before: it is stored, and its number goes into the cache of what is known.
export function report() {
  reportsSent += 1;
  const now = new Date().toISOString();
  const key = `${exec.vu.idInTest}-${reportsSent}-${Math.random().toString(36).slice(2)}`;
  const items = [{ kind: 'error', at: now, key, message: 'x'.repeat(200 + Math.floor(Math.random() * 1800)) }];
  lastReport = { key, id: null, body: JSON.stringify({ schema: 1, release: '1.0.0', page: '/load', sent_at: now, items }) };
  const answer = post(reports, lastReport.body, 'write', [201]);
  if (answer === null) {
    lastReport = null;
    return;
  }
  lastReport.id = answer.json('id');
  accepted.add(1);
  if (__ENV.LOG_REPORTS === '1') console.log(`report ${lastReport.id} ${key}`);
}

// reportAgain sends what was sent before, as a page does that got no answer: the cache knows it, and the number is the same.
export function reportAgain() {
  if (lastReport === null) {
    report();
    return;
  }
  const answer = post(reports, lastReport.body, 'write', [201]);
  if (answer !== null) check(answer, { 'a report is kept once': (a) => a.json('id') === lastReport.id });
}

// What an administrator does.

export const config = () => get(`${memory}/config`, 'admin');
export const cleanup = () => get(`${memory}/cleanup`, 'admin');
export const listReports = () => get(`${reports}?limit=100`, 'admin');
export const listSnapshots = () => get(`${memory}/snapshots`, 'admin');
export const collect = () => post(`${memory}/gc`, '{}', 'admin', [200]);
export const checkLeaks = () => post(`${memory}/leaks/check`, '{}', 'admin', [200]);

// snapshot takes one, unless another is under way (409).
export function snapshot() {
  const answer = post(`${memory}/snapshots`, null, 'snapshot', [201, 409]);
  if (answer !== null && answer.status === 201) snapshots.add(1);
}

export const reads = [
  [250, stats], [20, history], [120, pressure], [80, limits], [60, leaks], [40, metrics], [100, health], [60, ready],
];
export const streams = [[35, live]];
export const writes = [[320, report], [60, reportAgain]];
export const administration = token === '' ? [] : [
  [15, config], [10, cleanup], [15, listReports], [5, listSnapshots], [10, collect], [6, checkLeaks], [0.5, snapshot],
];

// oneOf chooses what to do by weight.
export function oneOf(actions) {
  let at = Math.random() * actions.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, action] of actions) {
    at -= weight;
    if (at < 0) return action;
  }
  return actions[0][1];
}
