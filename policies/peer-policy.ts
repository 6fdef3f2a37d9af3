/** Which peers may speak to a listener or answer for a cluster: an allow list and a deny list of SPIFFE IDs, with a reason for every verdict. */

import { CodedError } from '../core/index.ts';
import {
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from '../spiffe/index.ts';

export type PeerPolicyErrorCode = 'peer_pattern' | 'peer_list_empty';

export class PeerPolicyError extends CodedError<PeerPolicyErrorCode> {
  override readonly name = 'PeerPolicyError';
  override readonly kind = 'invalid_argument';
}

/** Compiled once per listener or cluster; deciding is two set look-ups. */
export interface PeerPolicy extends PeerList {
  /** Who is kept out whatever the rest says; empty where nobody is. */
  readonly denied: PeerList;
}

export interface PeerList {
  readonly ids: ReadonlySet<SpiffeId>;
  readonly trustDomains: ReadonlySet<TrustDomain>;
}

export type PeerVerdict =
  | { readonly kind: 'allow'; readonly rule: string }
  | { readonly kind: 'deny'; readonly reason: string };

/**
 * Compiles patterns: a SPIFFE ID in full, or `spiffe://<trust domain>/*` for all of one trust domain.
 * Throws {@link PeerPolicyError} that names the pattern; an empty list is refused, because it would
 * mean "nobody" to one reader and "everybody" to another. `denied` are patterns of the same kind, and come
 * first whoever else they are: one member of a trust domain can so be left out of it.
 */
export function parsePeerPolicy(
  patterns: readonly string[],
  denied: readonly string[] = [],
): PeerPolicy {
  if (patterns.length === 0) {
    throw new PeerPolicyError('peer_list_empty', 'the list of peers is empty', {
      remedy: 'name SPIFFE IDs, or spiffe://<trust domain>/* for a whole trust domain',
    });
  }
  return { ...parsePeers(patterns), denied: parsePeers(denied) };
}

function parsePeers(patterns: readonly string[]): PeerList {
  const ids = new Set<SpiffeId>();
  const trustDomains = new Set<TrustDomain>();
  for (const pattern of patterns) {
    try {
      const wholeDomain = /^spiffe:\/\/([^/]*)\/\*$/.exec(pattern);
      if (wholeDomain === null) ids.add(parseSpiffeId(pattern));
      else trustDomains.add(parseTrustDomain(wholeDomain[1] ?? ''));
    } catch (error) {
      throw new PeerPolicyError(
        'peer_pattern',
        `peer ${JSON.stringify(pattern)} is not a SPIFFE ID`,
        {
          cause: error,
        },
      );
    }
  }
  return { ids, trustDomains };
}

/** The verdict on a peer whose certificate has already been verified. */
export function decidePeer(policy: PeerPolicy, peer: SpiffeId): PeerVerdict {
  const { denied } = policy;
  const trustDomain = trustDomainOf(peer);
  if (denied.ids.has(peer) || denied.trustDomains.has(trustDomain)) {
    return { kind: 'deny', reason: `${peer} is on the deny list` };
  }
  if (policy.ids.has(peer)) return { kind: 'allow', rule: peer };
  if (policy.trustDomains.has(trustDomain))
    return { kind: 'allow', rule: `spiffe://${trustDomain}/*` };
  return { kind: 'deny', reason: `${peer} is not on the list of peers` };
}
