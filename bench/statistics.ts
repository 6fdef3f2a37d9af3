/** What several rounds of one measurement say together: median, least and most. */

import { BenchError } from './bench-error.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/**
 * Throws {@link BenchError} for no values. The median and the extremes, because a shared machine adds
 * outliers on one side, which a mean would carry on and a standard deviation would call symmetric.
 */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const min = sorted[0];
  const max = sorted.at(-1);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (min === undefined || max === undefined || upper === undefined || lower === undefined) {
    throw new BenchError('bench_no_samples', 'a measurement gave no sample');
  }
  return { median: (lower + upper) / 2, min, max };
}
