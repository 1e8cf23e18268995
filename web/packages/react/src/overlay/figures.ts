import type { CacheStats, HeapReading, HeapSource, MemoryStats, Warning } from '@memwarden/client';

/** How many readings of the heap the trend shows. */
const maxTrend = 60;

export const sourceNames: Readonly<Record<HeapSource, string>> = {
  engine: 'JavaScript heap, a coarse figure of the engine',
  agent: 'the whole page, as the browser measured it',
};

export interface ComponentRow {
  readonly name: string;
  /** Commits since the last look, and in all. */
  readonly commits: number;
  readonly total: number;
  readonly mounts: number;
  readonly unmounts: number;
  readonly live: number;
}

/** The components, those with the most commits since the last look first. */
export function componentRows(now: MemoryStats, before: MemoryStats): ComponentRow[] {
  return Object.values(now.components)
    .map(({ name, commits, mounts, unmounts, live }) => ({
      name,
      commits: commits - (before.components[name]?.commits ?? 0),
      total: commits,
      mounts,
      unmounts,
      live,
    }))
    .sort((a, b) => b.commits - a.commits || b.live - a.live || b.total - a.total || a.name.localeCompare(b.name));
}

/** Adds a reading to those of the same source; another source begins anew, as the two do not measure the same. */
export function extendTrend(trend: readonly HeapReading[], reading: HeapReading | undefined): readonly HeapReading[] {
  const last = trend.at(-1);
  if (!reading || reading.at === last?.at) return trend;
  return [...(reading.source === last?.source ? trend : []), reading].slice(-maxTrend);
}

/** Bytes as people read them, with three digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${unit && bytes < 99.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

export function formatNumber(number: number): string {
  return Math.round(number).toLocaleString('en');
}

/** `1 leak`, `2 leaks`. */
export function count(number: number, one: string, more = one + 's'): string {
  const text = formatNumber(number);
  return `${text} ${text === '1' ? one : more}`;
}

export function formatDuration(ms: number): string {
  return ms < 120_000 ? count(ms / 1000, 'second') : count(ms / 60_000, 'minute');
}

export function formatTime(at: number): string {
  return new Date(at).toLocaleTimeString('en', { hourCycle: 'h23' });
}

export function cacheCells({ entries, inactive, bytes, neverCollected }: CacheStats): string[] {
  const orUnknown = (value: number | undefined, format: (value: number) => string) => (value === undefined ? '–' : format(value));
  return [
    formatNumber(entries),
    orUnknown(inactive, formatNumber),
    orUnknown(neverCollected, formatNumber),
    orUnknown(bytes, (value) => '≈ ' + formatBytes(value)),
  ];
}

export function warningText({ kind, subject, value, threshold }: Warning): string {
  switch (kind) {
    case 'slow_commit':
      return `${subject}: a commit takes ${Math.round(value)} ms, over ${threshold} ms`;
    case 'many_commits':
      return `${subject}: ${formatNumber(value)} commits a second, over ${threshold}`;
    case 'growing_instances':
      return `${subject} has grown by ${count(value, 'live instance')}`;
    case 'growing_cache':
      return `${subject} has grown by ${count(value, 'entry', 'entries')}`;
    case 'growing_heap':
      return `The heap has grown by ${Math.round(value * 100)} %`;
  }
}
