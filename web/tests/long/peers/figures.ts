import { table } from './table';

/** Something measured several times, beside what was promised of it. */
export interface Figure {
  readonly name: string;
  /** None if it is a number of something. */
  readonly unit?: 'µs' | 'ms' | 'kB';
  readonly values: readonly number[];
  /** What the median is to be at most. */
  readonly atMost?: number;
  /** What each of the values is to be. */
  readonly always?: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** All of them as a Markdown table. */
export function report(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, unit, values, atMost, always }) => {
    const show = (value: number) => (unit ? `${value.toFixed(unit === 'kB' || Math.abs(value) >= 10 ? 2 : 3)} ${unit}` : `${value}`);
    const middle = median(values);
    const [goal, met] =
      always !== undefined ? [`always ${always}`, values.every((value) => value === always)] : atMost !== undefined ? [`≤ ${atMost} ${unit}`, middle <= atMost] : [];
    const verdict = met === undefined ? '' : met ? 'met' : '**missed**';
    return [name, goal ?? '', show(middle), show(Math.min(...values)), show(Math.max(...values)), verdict];
  });
  return table([['figure', 'goal', 'median', 'min', 'max', 'verdict'], ...rows]);
}
