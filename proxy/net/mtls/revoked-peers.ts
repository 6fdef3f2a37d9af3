/**
 * Whether a peer's certificate is on a revocation list, and the connections that end when it comes to be.
 * The lists come with the bundles and are replaced as a whole; a live connection is asked again with each new set.
 */

import { type Certificate, type Crl, whyNotIssuedBy } from '../../../pki/index.ts';
import { toHex } from '../../../core/index.ts';

/** The lists by the key that signed them. */
export class RevocationLists {
  readonly #byKeyId = new Map<string, Crl[]>();
  /** Lists whose signature was looked at, with what was found: an issuer has few keys and many peers. */
  readonly #verified = new WeakMap<
    Crl,
    { readonly issuer: Certificate; readonly fault?: string }
  >();
  readonly size: number;

  constructor(crls: readonly Crl[]) {
    this.size = crls.length;
    for (const crl of crls) {
      const keyId = toHex(crl.authorityKeyId);
      this.#byKeyId.set(keyId, [...(this.#byKeyId.get(keyId) ?? []), crl]);
    }
  }

  /**
   * Why the peer must not be believed, or undefined. Only the leaf is looked up: what signed it stands in the
   * peer's own chain and falls with its root. A list that its issuer did not sign proves nothing good either.
   */
  whyRevoked(leaf: Certificate, issuer: Certificate): string | undefined {
    const { authorityKeyId } = leaf.extensions;
    if (this.size === 0 || authorityKeyId === undefined) return undefined;
    for (const crl of this.#byKeyId.get(toHex(authorityKeyId)) ?? []) {
      const fault = this.#faultOf(crl, issuer);
      if (fault !== undefined) return `the revocation list of its issuer does not hold: ${fault}`;
      const revoked = crl.revoked.get(leaf.serial);
      if (revoked === undefined) continue;
      const since = new Date(revoked.revokedAtMs).toISOString();
      return `its certificate ${leaf.serial} was revoked at ${since} (${revoked.reason})`;
    }
    return undefined;
  }

  #faultOf(crl: Crl, issuer: Certificate): string | undefined {
    const known = this.#verified.get(crl);
    if (known?.issuer === issuer) return known.fault;
    const fault = whyNotIssuedBy(crl, issuer);
    this.#verified.set(crl, fault === undefined ? { issuer } : { issuer, fault });
    return fault;
  }
}

export const noRevocationLists = new RevocationLists([]);

/** A certificate in use on a live connection, with the certificate that signed it. */
export interface LivePeer {
  readonly leaf: Certificate;
  readonly issuer: Certificate;
  /** Ends the connection. */
  revoke(reason: string): void;
}

/** The live connections with a peer, for the moment in which one of them comes to be revoked. */
export class LivePeers {
  /** Connections that were ended because their peer's certificate was revoked. */
  closed = 0;
  readonly #peers = new Set<LivePeer>();

  add(peer: LivePeer): () => void {
    this.#peers.add(peer);
    return () => this.#peers.delete(peer);
  }

  check(lists: RevocationLists): void {
    if (lists.size === 0) return;
    for (const peer of this.#peers) {
      const reason = lists.whyRevoked(peer.leaf, peer.issuer);
      if (reason === undefined) continue;
      this.#peers.delete(peer);
      this.closed += 1;
      peer.revoke(reason);
    }
  }
}
