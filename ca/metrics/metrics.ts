/**
 * The metrics port: what the rest of the CA sees of the registry it is measured by. Whoever counts gets
 * one as an argument; there is no global registry, so two CAs in one process do not share numbers.
 */

export interface Metrics {
  /** Grows only. */
  counter(shape: MetricShape): Counter;
  gauge(shape: MetricShape): Gauge;
  histogram(shape: HistogramShape): Histogram;
  /** A counter that somebody else keeps as a plain number, asked for at each look. */
  countOf(shape: MetricShape, read: Reading): void;
  /** A gauge that is asked for at each look. */
  gaugeOf(shape: MetricShape, read: Reading): void;
}

export interface MetricShape {
  /** `signet_ca_<what>_<unit>`; a counter ends in `_total` (OpenMetrics §4.1). docs/ca/metrics.md must name it. */
  readonly name: string;
  readonly help: string;
  /** Names of labels; each label must have a small, bounded set of values. */
  readonly labels?: readonly string[];
}

export interface HistogramShape extends MetricShape {
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
}

export interface Counter {
  add(by?: number, labels?: MetricLabels): void;
}

export interface Gauge {
  set(value: number, labels?: MetricLabels): void;
}

export interface Histogram {
  observe(value: number, labels?: MetricLabels): void;
}

export type MetricLabels = Readonly<Record<string, string>>;

export interface Sample {
  readonly value: number;
  readonly labels?: MetricLabels;
}

/** One number, or one sample for each value of the labels. Samples that are not read again vanish. */
export type Reading = () => number | readonly Sample[];

/** Seconds, from a hundred microseconds to ten seconds: what a disk, a signature and a queue take. */
export const secondsBuckets: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];
