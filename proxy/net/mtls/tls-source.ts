/** The current TLS material, as listeners and clusters take it at each handshake. */

import type { Clock, Timer, Watch } from '../../../core/index.ts';
import type { TlsPurpose } from '../../../pki/index.ts';
import type { PeerPolicy } from '../../../policies/index.ts';
import { type LivePeer, LivePeers } from './live-peers.ts';
import { type TlsMaterial, whyNotUsable } from './tls-material.ts';
import { createPeerMemory, type PeerOutcome, verifyPeer } from './verify-peer.ts';

export type TlsAnswer =
  | { readonly kind: 'ready'; readonly material: TlsMaterial }
  | { readonly kind: 'not_ready'; readonly detail: string };

/** How long a connection may live under a certificate of ours that was replaced. */
export interface SupersededLimits {
  /** After so long it begins nothing new. */
  readonly ageMsMax: number;
  /** So long after that it is ended. */
  readonly drainMs: number;
}

/** Asked at every handshake, so that a swap needs neither a restart nor a connection to be closed. */
export class TlsSource {
  readonly #material: Watch<TlsMaterial | undefined>;
  readonly #clock: Clock;
  // One for all listeners and clusters, and for all trust: it holds nothing that a new bundle makes wrong.
  readonly #memory = createPeerMemory();
  readonly #peers = new LivePeers(this.#memory.verifiedPairs);
  readonly #timers = new Set<Timer>();

  constructor(
    material: Watch<TlsMaterial | undefined>,
    clock: Clock,
    superseded: SupersededLimits | undefined,
  ) {
    this.#material = material;
    this.#clock = clock;
    let last: TlsMaterial | undefined;
    material.subscribe((next) => {
      if (next === undefined) return;
      if (next.trust !== last?.trust) this.#peers.check(next.trust);
      const isReplaced = last !== undefined && next.identity !== last.identity;
      if (isReplaced && superseded !== undefined) this.#retireLater(next.generation, superseded);
      last = next;
    });
  }

  /** Calls `end` if what the peer stands on is withdrawn while the connection lives; the answer forgets it. */
  watchPeer(peer: LivePeer): () => void {
    return this.#peers.add(peer);
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  /** Whoever is under the certificate of this generation, or a later one, stays. */
  #retireLater(generation: number, { ageMsMax, drainMs }: SupersededLimits): void {
    this.#later(ageMsMax, () => {
      this.#peers.retireOlder(generation);
      this.#later(drainMs, () => this.#peers.endOlder(generation));
    });
  }

  #later(delayMs: number, action: () => void): void {
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(timer);
      action();
    });
    this.#timers.add(timer);
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
