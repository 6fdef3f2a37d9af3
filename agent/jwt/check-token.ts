/** Whether a token that the CA made is one that workloads can use: checked as a validator of this node would. */

import { verifyJwtSvid } from '../../spiffe/index.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';

export interface CheckedToken {
  readonly keyId: string;
  readonly expiresAtMs: number;
}

export type TokenVerdict =
  | ({ readonly kind: 'good' } & CheckedToken)
  | { readonly kind: 'refused'; readonly detail: string };

export function checkToken(p: {
  readonly token: string;
  readonly entry: AgentEntry;
  /** Sorted. */
  readonly audience: readonly string[];
  readonly state: CaState | undefined;
  readonly atMs: number;
}): TokenVerdict {
  const { token, entry, audience, state, atMs } = p;
  const verdict = verifyJwtSvid({
    token,
    audience: audience[0] ?? '',
    // Own keys alone: no other domain's can speak for an entry of ours.
    bundles: state?.bundles ?? new Map(),
    atMs,
  });
  if (verdict.kind === 'refused') return verdict;
  if (verdict.id !== entry.spiffeId) {
    return { kind: 'refused', detail: `it is for ${verdict.id}` };
  }
  if (verdict.audience.toSorted().join('\n') !== audience.join('\n')) {
    return { kind: 'refused', detail: 'its audience is not the one that was asked for' };
  }
  const { keyId, expiresAtMs } = verdict;
  if (state?.taintedKeyIds?.has(keyId) === true) {
    return { kind: 'refused', detail: `it is signed with the tainted key ${keyId}` };
  }
  return { kind: 'good', keyId, expiresAtMs };
}
