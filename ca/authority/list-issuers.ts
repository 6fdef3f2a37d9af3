/** Who signs revocation lists, and which authorities are on the lists of their roots (RFC 5280 §5). */

import type { KeyObject } from 'node:crypto';
import { keySigner } from '../../pki/index.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import type { ListIssuer } from './issuer.ts';
import type { Upstream } from './upstream.ts';

/** An issuing authority that its root does not vouch for any more. */
export interface RevokedAuthority {
  readonly serial: string;
  /** Key id of the root that signed it. */
  readonly issuerKeyId: string;
  readonly reason: 'cACompromise';
  readonly revokedAtMs: number;
}

/**
 * Every authority whose key is at hand, issuing ones first: those for the leaves, roots for the issuing ones.
 * Roots that wait are among them, so that their list is everywhere before anything stands under them.
 */
export function listIssuersOf(
  { authorities }: AuthoritySet,
  keys: { hasKey(id: string): boolean; privateKey(id: string): KeyObject },
  upstream: Upstream | undefined,
): readonly ListIssuer[] {
  const keyOf = (id: string): KeyObject | undefined => {
    if (keys.hasKey(id)) return keys.privateKey(id);
    // The key that the operator gave us is the root's only if nothing stands between.
    return upstream?.rootId === id && upstream.chain.length === 1 ? upstream.privateKey : undefined;
  };
  const issuing = authorities.filter(({ tier }) => tier === 'issuing');
  const roots = authorities.filter(({ tier, state }) => tier === 'root' && state !== 'retired');
  return [...issuing, ...roots].filter(maySignLists).flatMap(({ id, certificate }) => {
    const key = keyOf(id);
    return key === undefined ? [] : [{ id, certificate, signer: keySigner(key) }];
  });
}

/** Issuing authorities that were dropped because of a compromise, whose certificates have not ended. */
export function revokedAuthorities(
  { authorities }: AuthoritySet,
  nowMs: number,
): readonly RevokedAuthority[] {
  return authorities.flatMap((authority) => {
    const { tier, state, taintedAtMs, retiredAtMs, parentId, certificate } = authority;
    // Without a taint it has come to its end in order: nothing lives below it.
    const isRevoked = tier === 'issuing' && state === 'retired' && taintedAtMs !== undefined;
    if (!isRevoked || retiredAtMs === undefined || parentId === undefined) return [];
    if (certificate.notAfterMs < nowMs) return [];
    return [
      {
        serial: certificate.serial,
        issuerKeyId: parentId,
        reason: 'cACompromise',
        revokedAtMs: retiredAtMs,
      },
    ];
  });
}

/** RFC 5280 §4.2.1.3: an upstream's root may be for certificates only; a list by it would be refused. */
function maySignLists({ certificate }: Authority): boolean {
  return certificate.extensions.keyUsage?.usages.has('cRLSign') ?? true;
}
