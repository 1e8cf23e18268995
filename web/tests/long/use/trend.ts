/** By how much a series grows for each unit of x: the median of all slopes between two points, and its bounds. */
export interface Trend {
  readonly slope: number;
  readonly low: number;
  readonly high: number;
}

/** Of the standard normal distribution, for bounds at 99 %. */
const z99 = 2.576;

/**
 * The estimate of Theil and Sen, with the bounds at 99 % that follow from the variance of Kendall's S (Sen, "Estimates of
 * the regression coefficient based on Kendall's tau", JASA 63, 1968). Points without a tie in x.
 */
export function trend(points: readonly (readonly [x: number, y: number])[]): Trend {
  const n = points.length;
  if (n < 3) throw new RangeError(`a trend of ${n} points: want 3 at least`);
  const slopes: number[] = [];
  for (const [i, [x, y]] of points.entries()) {
    for (const [laterX, laterY] of points.slice(i + 1)) slopes.push((laterY - y) / (laterX - x));
  }
  slopes.sort((a, b) => a - b);
  const spread = z99 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const at = (rank: number) => slopes[Math.min(slopes.length - 1, Math.max(0, Math.round(rank)))]!;
  return {
    slope: (at((slopes.length - 1) / 2 - 0.25) + at((slopes.length - 1) / 2 + 0.25)) / 2,
    low: at((slopes.length - spread) / 2 - 1),
    high: at((slopes.length + spread) / 2),
  };
}
