/** What an operator asks to have revoked: what it covers, and what is wrong with it. */

import type { CrlReason } from '../../pki/index.ts';
import type { Actor } from '../audit/event.ts';
import type { LiveLeaf } from './live-leaves.ts';
import type { IssuanceBlock, RevocationTarget } from './revocation.ts';
import { RevocationError } from './revocation-error.ts';

export interface RevokeRequest {
  readonly actor: Actor;
  readonly target: RevocationTarget;
  readonly reason: CrlReason;
  /** Issue no further certificate for the ID (or the node) until it is lifted. */
  readonly block: boolean;
  /** Of what is named only these: what was collected before whoever held them could get new ones. */
  readonly only?: ReadonlySet<string>;
}

/** Whether a certificate is among those that an operator names. */
export function covers({ by, value }: RevocationTarget, leaf: LiveLeaf): boolean {
  if (by === 'serial') return leaf.serial === value;
  if (by === 'spiffe_id') return leaf.spiffeId === value;
  return (by === 'node' ? leaf.nodeId : leaf.issuerKeyId) === value;
}

/** The block that a request asks for. Throws {@link RevocationError} where it cannot be one. */
export function blockOf(request: RevokeRequest, nowMs: number): IssuanceBlock | undefined {
  const { actor, target, reason } = request;
  if (!request.block) return undefined;
  if (target.by === 'spiffe_id' || target.by === 'node') {
    return { spiffeId: target.value, blockedAtMs: nowMs, reason, actor };
  }
  throw new RevocationError('revocation_block', `a ${target.by} cannot be blocked`, {
    remedy: 'block a SPIFFE ID or a node',
  });
}

export function nothingNamed(target: RevocationTarget): RevocationError {
  return new RevocationError(
    'revocation_nothing',
    `no certificate that still lives has the ${target.by} ${JSON.stringify(target.value.slice(0, 100))}`,
    { remedy: 'look for it with `signet audit tail`, or block the ID with --block' },
  );
}

export function tooMany(count: number): RevocationError {
  return new RevocationError(
    'revocations_many',
    `${count} more certificates would make more than ${revocationsMax} on the lists`,
    { remedy: 'taint the issuing authority instead: all below it is then issued anew' },
  );
}

// Half a megabyte of lists, which every agent and sidecar holds, and which one transaction of the store takes.
// More is a compromise of the issuer.
export const revocationsMax = 10_000;
