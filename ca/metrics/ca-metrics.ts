/** What a CA measures beside its writes: issuance, authorities, the fleet, and who waits. docs/ca/metrics.md explains each. */

import type { IssuanceObserver } from '../issuance/issuance-observer.ts';
import { type MeasuredKeys, measureKeys } from './key-metrics.ts';
import { type Metrics, secondsBuckets } from './metrics.ts';

/** For the issuance cycle. */
export function measureIssuance(metrics: Metrics): IssuanceObserver {
  const ended = metrics.counter({
    name: 'signet_ca_issuance_total',
    help: 'Requests for certificates by how they ended: issued, failed, or the code of the refusal',
    labels: ['outcome'],
  });
  const seconds = metrics.histogram({
    name: 'signet_ca_issuance_seconds',
    help: 'From a request that was let in to a certificate that is on the record',
    buckets: secondsBuckets,
  });
  const stepSeconds = metrics.histogram({
    name: 'signet_ca_issuance_step_seconds',
    help: 'Each step of the issuance cycle, of one request in eight',
    labels: ['step'],
    buckets: secondsBuckets,
  });
  let requests = 0;
  return {
    watchesSteps: () => requests++ % stepsOfEvery === 0,
    step: (step, elapsedMs) => stepSeconds.observe(elapsedMs / 1000, { step }),
    ended(outcome, elapsedMs) {
      ended.add(1, { outcome });
      if (outcome === 'issued') seconds.observe(elapsedMs / 1000);
    },
  };
}

// The spread of the steps needs no census: under load a hundred requests a second are still watched.
const stepsOfEvery = 8;

export interface Measured extends MeasuredKeys {
  readonly connected: MeasuredKeys['connected'] & { count(): number; pushes(): number };
  readonly counts: () => { readonly entries: number; readonly nodes: number };
  readonly gate: { load(): { readonly waiting: number; readonly overloaded: number } };
}

/** Registers what is read when somebody looks, and costs nothing until then. */
export function measureCa(metrics: Metrics, ca: Measured): void {
  measureKeys(metrics, ca);
  metrics.gaugeOf(
    { name: 'signet_ca_nodes_connected', help: 'Nodes that hold a Sync stream' },
    () => ca.connected.count(),
  );
  metrics.gaugeOf({ name: 'signet_ca_nodes', help: 'Attested nodes' }, () => ca.counts().nodes);
  metrics.gaugeOf(
    { name: 'signet_ca_entries', help: 'Registration entries' },
    () => ca.counts().entries,
  );
  metrics.countOf(
    { name: 'signet_ca_sync_pushes_total', help: 'States sent to nodes on Sync streams' },
    () => ca.connected.pushes(),
  );
  metrics.gaugeOf(
    {
      name: 'signet_ca_requests_waiting',
      help: 'Signatures and attestations that wait their turn',
    },
    () => ca.gate.load().waiting,
  );
  metrics.countOf(
    {
      name: 'signet_ca_requests_overloaded_total',
      help: 'Requests sent away because too many waited or came too fast',
    },
    () => ca.gate.load().overloaded,
  );
}

/** The step of a revocation's way and how long it took. */
export function measureRevocations(
  metrics: Metrics,
  times: {
    listen(listener: (step: { readonly step: string; readonly delayMs: number }) => void): void;
  },
): void {
  const seconds = metrics.histogram({
    name: 'signet_ca_revocation_seconds',
    help: 'From the call that revokes until its push left for a node, and until the node has applied it',
    labels: ['step'],
    buckets: secondsBuckets,
  });
  times.listen(({ step, delayMs }) => seconds.observe(delayMs / 1000, { step }));
}
