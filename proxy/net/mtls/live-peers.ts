/**
 * The live connections with peers, for the moment in which what one of them stands on is withdrawn: its certificate
 * is revoked, or the bundle of its trust domain no longer vouches for it.
 */

import type { Certificate, VerifiedPairs } from '../../../pki/index.ts';
import { type SpiffeId, trustDomainOf, verifyX509Svid } from '../../../spiffe/index.ts';
import type { TlsTrust } from './tls-material.ts';
import type { PeerCertificate } from './verify-peer.ts';

export type LostTrust = 'revoked' | 'untrusted' | 'superseded';

/** One connection with a peer. */
export interface LivePeer {
  readonly id: SpiffeId;
  readonly certificate: PeerCertificate;
  /** The generation of TLS material whose certificate we presented. */
  readonly generation: number;
  /** Lets what is under way end, and begins nothing new; `end` follows. */
  retire(): void;
  /** Ends the connection. */
  end(why: LostTrust, reason: string): void;
}

export class LivePeers {
  readonly #peers = new Set<LivePeer>();
  readonly #verifiedPairs: VerifiedPairs;

  constructor(verifiedPairs: VerifiedPairs) {
    this.#verifiedPairs = verifiedPairs;
  }

  get size(): number {
    return this.#peers.size;
  }

  add(peer: LivePeer): () => void {
    this.#peers.add(peer);
    return () => this.#peers.delete(peer);
  }

  /** Ends, within this call, each connection that would not be let in under `trust`. */
  check({ bundles, lists }: TlsTrust): void {
    // An issuing authority has many leaves, and leads to the bundle or does not for all of them.
    const known = new Map<Certificate, Map<string, string | undefined>>();
    for (const peer of this.#peers) {
      const revoked = lists.whyRevoked(peer.certificate.path);
      if (revoked !== undefined) {
        this.#end(peer, 'revoked', revoked);
        continue;
      }
      const [leaf, issuer = leaf] = peer.certificate.path;
      if (issuer === undefined) continue;
      const trustDomain = trustDomainOf(peer.id);
      const ofIssuer = known.get(issuer) ?? new Map<string, string | undefined>();
      known.set(issuer, ofIssuer);
      if (!ofIssuer.has(trustDomain)) ofIssuer.set(trustDomain, this.#whyUntrusted(peer, bundles));
      const untrusted = ofIssuer.get(trustDomain);
      if (untrusted !== undefined) this.#end(peer, 'untrusted', untrusted);
    }
  }

  /** Those in which we presented the certificate of an earlier generation. */
  retireOlder(generation: number): void {
    for (const peer of this.#older(generation)) peer.retire();
  }

  endOlder(generation: number): void {
    for (const peer of this.#older(generation)) {
      this.#end(peer, 'superseded', 'our certificate in it was replaced too long ago');
    }
  }

  #older(generation: number): LivePeer[] {
    return [...this.#peers].filter((peer) => peer.generation < generation);
  }

  /** As of the moment of its handshake: that its certificate has run out since is no withdrawal. */
  #whyUntrusted({ certificate }: LivePeer, bundles: TlsTrust['bundles']): string | undefined {
    const { path, verifiedAtMs: atMs } = certificate;
    const verifiedPairs = this.#verifiedPairs;
    const verdict = verifyX509Svid({ chain: path, bundles, atMs, verifiedPairs });
    return verdict.kind === 'valid' ? undefined : verdict.detail;
  }

  #end(peer: LivePeer, why: LostTrust, reason: string): void {
    this.#peers.delete(peer);
    peer.end(why, reason);
  }
}
