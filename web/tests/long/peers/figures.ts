import { table } from './table';

/** Something measured several times, beside what was promised of it. */
export interface Figure {
  readonly name: string;
  readonly unit: 'µs' | 'ms' | 'kB';
  readonly values: readonly number[];
  /** What the median is to be at most. */
  readonly atMost?: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** All of them as a Markdown table. */
export function report(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, unit, values, atMost }) => {
    const show = (value: number) => `${value.toFixed(unit === 'kB' || Math.abs(value) >= 10 ? 2 : 3)} ${unit}`;
    const middle = median(values);
    const verdict = atMost === undefined ? '' : middle <= atMost ? 'met' : '**missed**';
    return [name, atMost === undefined ? '' : `≤ ${atMost} ${unit}`, show(middle), show(Math.min(...values)), show(Math.max(...values)), verdict];
  });
  return table([['figure', 'goal', 'median', 'min', 'max', 'verdict'], ...rows]);
}
