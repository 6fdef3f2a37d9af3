/** A store that is timed: the same port, with its commits counted. */

import type { Clock } from '../../core/index.ts';
import type { Store } from '../store/store.ts';
import { type Metrics, secondsBuckets } from './metrics.ts';
import { Outcomes } from './outcomes.ts';

export interface MeasuredStore {
  readonly store: Store;
  readonly outcomes: Outcomes;
}

export function measureStore(store: Store, clock: Clock, metrics: Metrics): MeasuredStore {
  const outcomes = new Outcomes(clock);
  const seconds = metrics.histogram({
    name: 'signet_ca_store_commit_seconds',
    help: 'From asking for a commit until it is durable',
    buckets: secondsBuckets,
  });
  const failures = metrics.counter({
    name: 'signet_ca_store_commit_failures_total',
    help: 'Commits that failed; a lost compare is not one',
  });
  metrics.gaugeOf(
    {
      name: 'signet_ca_store_commits_waiting',
      help: 'Commits asked for and not durable yet',
    },
    () => outcomes.waiting(),
  );
  metrics.gaugeOf(
    { name: 'signet_ca_store_revision', help: 'The revision of the newest committed transaction' },
    () => store.revision(),
  );
  return {
    outcomes,
    store: {
      get: (key) => store.get(key),
      range: (request) => store.range(request),
      pages: (prefix) => store.pages(prefix),
      watch: (request, onBatch, onLost) => store.watch(request, onBatch, onLost),
      revision: () => store.revision(),
      close: () => store.close(),
      commit: (transaction) =>
        outcomes.follow(() => store.commit(transaction), { seconds, failures }),
    },
  };
}
