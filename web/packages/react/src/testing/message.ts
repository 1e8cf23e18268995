import type { LeakKind, Released } from '../leaks/cohort';
import type { LeakReport } from '../leaks/watch';
import { heapGrowth, type Reading } from './readings';

const maxNamed = 20;

const things: Record<LeakKind, string> = { component: 'components', dom: 'removed elements', object: 'tracked objects' };

/** One line for what survives, and below it where it was and what probably holds it. */
function lines({ kind, name, owners, released, survivors, holders }: LeakReport): string[] {
  return [
    `  ${name}: ${survivors} of ${released} ${things[kind]} are still there`,
    ...(owners.length ? [`    inside ${owners.join(' < ')}`] : []),
    ...holders.map((holder) => `    perhaps held by: ${holder}`),
  ];
}

/** Bytes with three digits, and their sign if it matters. */
function bytes(count: number): string {
  const size = Math.abs(count);
  if (size < 1e3) return `${count} B`;
  return size < 1e6 ? `${(count / 1e3).toPrecision(3)} kB` : `${(count / 1e6).toPrecision(3)} MB`;
}

function change(readings: readonly Reading[]): string {
  const [first, last] = [readings[0]!, readings.at(-1)!];
  const counts = (['nodes', 'listeners'] as const)
    .filter((what) => first[what] !== undefined && last[what] !== undefined)
    .map((what) => `, ${what} from ${first[what]} to ${last[what]}`);
  const growth = `half of the cycles added ${bytes(heapGrowth(readings))} or more`;
  return `heap from ${bytes(first.heapBytes)} to ${bytes(last.heapBytes)} (${growth})${counts.join('')}`;
}

export interface Failure {
  readonly leaks: readonly LeakReport[];
  readonly released: readonly Released[];
  readonly readings: readonly Reading[];
  readonly cycles: number;
  /** What the heap may grow by with each cycle, if it grew by more. */
  readonly exceeded: number | undefined;
}

/** What a failed test says. */
export function failureMessage({ leaks, released, readings, cycles, exceeded }: Failure): string {
  const named = leaks.slice(0, maxNamed);
  const gone = new Set(released.filter((one) => one.released && !one.survivors).map(({ name }) => name)).size;
  const many = leaks.length - named.length;
  return [
    leaks.length
      ? `expectNoLeaks: ${[...new Set(named.map(({ name }) => name))].join(', ')}${many ? ` and ${many} more` : ''} outlived ${cycles} cycles of the scenario`
      : `expectNoLeaks: the heap grew by more than ${bytes(exceeded!)} with each of ${cycles} cycles of the scenario`,
    '',
    ...named.flatMap(lines),
    ...(gone ? [`  Of ${gone} other ${gone === 1 ? 'name' : 'names'} all are gone, as they should be.`] : []),
    `  After collections: ${change(readings)}.`,
  ].join('\n');
}
