/** Which of this node's SDS clients have which secret, since when, for the CA: by identity, bounded. Pure. */

import { type SecretHolding, SecretHoldingState } from '../api/index.ts';
import type { SdsClient } from '../sds-server/index.ts';

export interface SecretHoldings {
  readonly holdings: SecretHolding[];
  /** How many more there are than could be told. */
  readonly leftOut: number;
}

/** Those that refuse first, then those that have not answered, then whoever has had theirs for longest. */
export function secretHoldingsOf(
  clients: readonly SdsClient[],
  spiffeIdOf: (client: SdsClient) => string,
): SecretHoldings {
  const found = new Map<string, SecretHolding>();
  for (const client of clients) {
    const spiffeId = spiffeIdOf(client);
    for (const { name, version: secretVersion, state: word, sinceMs: since } of client.names) {
      const state = states[word];
      const sinceMs = BigInt(Math.round(since));
      const key = [spiffeId, name, secretVersion, state].join(' ');
      const known = found.get(key);
      if (known === undefined) {
        found.set(key, { spiffeId, name, secretVersion, state, clients: 1, sinceMs });
      } else {
        known.clients += 1;
        if (sinceMs < known.sinceMs) known.sinceMs = sinceMs;
      }
    }
  }
  const sorted = [...found.values()].toSorted(
    (left, right) =>
      right.state - left.state ||
      Number(left.sinceMs - right.sinceMs) ||
      (left.spiffeId + left.name < right.spiffeId + right.name ? -1 : 1),
  );
  return {
    holdings: sorted.slice(0, holdingsMax),
    leftOut: Math.max(0, sorted.length - holdingsMax),
  };
}

const states = {
  acknowledged: SecretHoldingState.SECRET_HOLDING_STATE_ACKNOWLEDGED,
  sent: SecretHoldingState.SECRET_HOLDING_STATE_WAITING,
  refused: SecretHoldingState.SECRET_HOLDING_STATE_REFUSED,
} as const;
// Fifty identities on a machine, with a certificate and roots each; some fifteen kilobytes in the CA.
const holdingsMax = 100;
