/** What is measured of tokens and of the policy's verdicts, beside certificates. docs/ca/metrics.md explains each. */

import type { PolicyJudge } from '../issuance/policy.ts';
import type { MintObserver } from '../jwt/mint-jwt-svid.ts';
import { type Metrics, secondsBuckets } from './metrics.ts';

/** For whoever mints JWT-SVIDs. */
export function measureMinting(metrics: Metrics): MintObserver {
  const ended = metrics.counter({
    name: 'signet_ca_jwt_minting_total',
    help: 'Requests for JWT-SVIDs by how they ended: minted, failed, or the code of the refusal',
    labels: ['outcome'],
  });
  const seconds = metrics.histogram({
    name: 'signet_ca_jwt_minting_seconds',
    help: 'From a request that was let in to a token that is on the record',
    buckets: secondsBuckets,
  });
  return {
    ended(outcome, elapsedMs) {
      ended.add(1, { outcome });
      if (outcome === 'minted') seconds.observe(elapsedMs / 1000);
    },
  };
}

/** The same judge with its verdicts counted, for what is really asked for and not merely explained. */
export function measureVerdicts(
  metrics: Metrics,
  judge: PolicyJudge | undefined,
): PolicyJudge | undefined {
  const verdicts = metrics.counter({
    name: 'signet_ca_policy_verdicts_total',
    help: 'Verdicts of the issuance policy on requests, by what was asked for',
    labels: ['kind', 'verdict'],
  });
  if (judge === undefined) return undefined;
  return (question, atMs) => {
    const verdict = judge(question, atMs);
    verdicts.add(1, { kind: question.kind, verdict: verdict.kind });
    return verdict;
  };
}
