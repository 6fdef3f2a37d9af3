/** The metrics port over a Prometheus registry of its own. */

import {
  Counter as PromCounter,
  collectDefaultMetrics,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';
import type { Metrics, MetricShape, Reading, Sample } from './metrics.ts';

export interface PrometheusMetrics extends Metrics {
  /** The text exposition format, 0.0.4. */
  text(): Promise<string>;
  readonly contentType: string;
  /** The names of all that is registered, process metrics included. */
  names(): readonly string[];
}

/** A registry that holds the process's own metrics already. */
export function createPrometheusMetrics(): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const shapeOf = ({ name, help, labels = [] }: MetricShape) => ({
    name,
    help,
    labelNames: [...labels],
    // None: the package's default is a registry of the whole process.
    registers: [],
  });
  return {
    counter(shape) {
      const counter = new PromCounter(shapeOf(shape));
      registry.registerMetric(counter);
      // Without labels a counter that nobody has added to yet shows 0, and so can be alerted on.
      return { add: (by = 1, labels = {}) => counter.inc({ ...labels }, by) };
    },
    gauge(shape) {
      const gauge = new PromGauge(shapeOf(shape));
      registry.registerMetric(gauge);
      return { set: (value, labels = {}) => gauge.set({ ...labels }, value) };
    },
    histogram(shape) {
      const histogram = new PromHistogram({ ...shapeOf(shape), buckets: [...shape.buckets] });
      registry.registerMetric(histogram);
      return { observe: (value, labels = {}) => histogram.observe({ ...labels }, value) };
    },
    countOf(shape, read) {
      const counter = new PromCounter({
        ...shapeOf(shape),
        collect() {
          this.reset();
          for (const { value, labels = {} } of samplesOf(read)) this.inc({ ...labels }, value);
        },
      });
      registry.registerMetric(counter);
    },
    gaugeOf(shape, read) {
      const gauge = new PromGauge({
        ...shapeOf(shape),
        collect() {
          this.reset();
          for (const { value, labels = {} } of samplesOf(read)) this.set({ ...labels }, value);
        },
      });
      registry.registerMetric(gauge);
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
    names: () => registry.getMetricsAsArray().map(({ name }) => name),
  };
}

function samplesOf(read: Reading): readonly Sample[] {
  const reading = read();
  return typeof reading === 'number' ? [{ value: reading }] : reading;
}
