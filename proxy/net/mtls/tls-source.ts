/** The current TLS material, as listeners and clusters take it at each handshake. */

import type { Clock, Watch } from '../../../core/index.ts';
import type { TlsPurpose } from '../../../pki/index.ts';
import type { PeerPolicy } from '../../../policies/index.ts';
import { type TlsMaterial, whyNotUsable } from './tls-material.ts';
import { LivePeers } from './revoked-peers.ts';
import {
  createPeerMemory,
  type PeerCertificate,
  type PeerOutcome,
  verifyPeer,
} from './verify-peer.ts';

export type TlsAnswer =
  | { readonly kind: 'ready'; readonly material: TlsMaterial }
  | { readonly kind: 'not_ready'; readonly detail: string };

/** Asked at every handshake, so that a swap needs neither a restart nor a connection to be closed. */
export class TlsSource {
  readonly #material: Watch<TlsMaterial | undefined>;
  readonly #clock: Clock;
  // One for all listeners and clusters, and for all trust: it holds nothing that a new bundle makes wrong.
  readonly #memory = createPeerMemory();
  readonly #peers = new LivePeers();

  constructor(material: Watch<TlsMaterial | undefined>, clock: Clock) {
    this.#material = material;
    this.#clock = clock;
    material.subscribe((next) => {
      if (next !== undefined) this.#peers.check(next.trust.lists);
    });
  }

  /** Calls `revoke` if the peer's certificate is revoked while the connection lives; the answer forgets it. */
  watchPeer(certificate: PeerCertificate, revoke: (reason: string) => void): () => void {
    return this.#peers.add({ ...certificate, revoke });
  }

  /** Fails closed: without a usable secret there is no answer to speak TLS with. */
  current(): TlsAnswer {
    const material = this.#material.current();
    const detail = whyNotUsable(material, this.#clock.wallMs());
    if (material !== undefined && detail === undefined) return { kind: 'ready', material };
    return { kind: 'not_ready', detail: detail ?? '' };
  }

  /**
   * Judges the chain (DER, leaf first) of a peer under the trust of this moment, which may be newer
   * than the one its handshake began with.
   */
  verify(chain: readonly Uint8Array[], purpose: TlsPurpose, policy: PeerPolicy): PeerOutcome {
    const trust = this.#material.current()?.trust;
    if (trust === undefined) {
      return { kind: 'refused', code: 'certificate_untrusted', detail: 'there is no bundle yet' };
    }
    const { bundles, lists } = trust;
    const nowMs = this.#clock.wallMs();
    const memory = this.#memory;
    return verifyPeer({ chain, bundles, lists, purpose, policy, nowMs, memory });
  }

  /** The number of swaps so far; 0 before the first secret. What was made under another is outdated. */
  generation(): number {
    return this.#material.current()?.generation ?? 0;
  }

  /** Calls `listener` after each swap. */
  subscribe(listener: () => void): () => void {
    return this.#material.subscribe(listener);
  }
}
