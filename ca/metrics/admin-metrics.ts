/** What is measured of the admin API. docs/ca/metrics.md explains each. */

import { type Metrics, secondsBuckets } from './metrics.ts';

export interface AdminCallMeasure {
  /** `outcome` is `ok` or the code of the problem. */
  ended(
    call: { readonly method: string; readonly resource: string; readonly outcome: string },
    elapsedMs: number,
  ): void;
}

export function measureAdminCalls(
  metrics: Pick<Metrics, 'counter' | 'histogram'>,
): AdminCallMeasure {
  const calls = metrics.counter({
    name: 'signet_ca_admin_calls_total',
    help: 'Calls of the admin API by method, resource, and how they ended: ok, or the code of the problem',
    labels: ['method', 'resource', 'outcome'],
  });
  const seconds = metrics.histogram({
    name: 'signet_ca_admin_call_seconds',
    help: 'From a call of the admin API to its answer, on the record where it means to change something',
    labels: ['method', 'resource'],
    buckets: secondsBuckets,
  });
  return {
    ended({ method, resource, outcome }, elapsedMs) {
      calls.add(1, { method, resource, outcome });
      seconds.observe(elapsedMs / 1000, { method, resource });
    },
  };
}
