// The slope of a series by Theil and Sen, with the interval that belongs to the test of Mann and Kendall (P. K. Sen,
// Journal of the American Statistical Association 63, 1968). What drives the scripts judges again, with a correction for
// samples that follow each other; this is what a bare k6 run has.

const quantiles = { 0.95: 1.96, 0.99: 2.576 };

// slopeInterval returns the slope of values over times, and the bounds between which it lies with a confidence of 0.95 or
// 0.99. Of fewer than ten samples nothing is known, and null is returned.
export function slopeInterval(times, values, confidence) {
  const n = values.length;
  if (n < 10) return null;
  const slopes = [];
  for (let j = 1; j < n; j += 1) {
    for (let i = 0; i < j; i += 1) slopes.push((values[j] - values[i]) / (times[j] - times[i]));
  }
  slopes.sort((a, b) => a - b);
  const reach = quantiles[confidence] * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const below = Math.max(0, Math.floor((slopes.length - reach) / 2) - 1);
  return { low: slopes[below], slope: slopes[Math.floor(slopes.length / 2)], high: slopes[slopes.length - 1 - below] };
}
