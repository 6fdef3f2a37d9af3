/** What a revocation is: one certificate that must not be believed any more, and why. */

import type { CrlReason } from '../../pki/index.ts';
import type { Actor } from '../audit/event.ts';

/** What an operator names. Whatever it covers at that moment is revoked, certificate by certificate. */
export interface RevocationTarget {
  /**
   * `node` covers all that was issued to a node: its own certificates and those of the workloads on it;
   * `issuer` all that one issuing authority signed.
   */
  readonly by: 'serial' | 'spiffe_id' | 'node' | 'issuer';
  /** A serial in lower hexadecimal, a SPIFFE ID, or a key id. */
  readonly value: string;
}

export interface Revocation {
  /** Lower hexadecimal, no leading `00`, as in the certificate. */
  readonly serial: string;
  readonly spiffeId: string;
  /** The node that asked for the certificate; absent for the CA's own. */
  readonly nodeId?: string;
  /** Key id of the authority that signed it. */
  readonly issuerKeyId: string;
  /** The certificate's end; the record is kept a margin longer. */
  readonly notAfterMs: number;
  readonly reason: CrlReason;
  readonly revokedAtMs: number;
  readonly actor: Actor;
}

/** No certificate is issued for this ID until somebody lifts it. */
export interface IssuanceBlock {
  readonly spiffeId: string;
  readonly blockedAtMs: number;
  readonly reason: CrlReason;
  readonly actor: Actor;
}

/** What the fleet is told: the deny list, and a signed list for each issuing authority. */
export interface RevocationState {
  /** Grows with every change; 0 while nothing was ever revoked. */
  readonly version: number;
  /** DER. With one revocation anywhere there is one for every authority at work, roots too: Envoy wants it so. */
  readonly crls: readonly Uint8Array[];
  readonly serials: readonly string[];
}
