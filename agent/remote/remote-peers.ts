/**
 * Who calls from another machine: known by the SVID of the handshake, and judged anew whenever trust changes,
 * so that no connection outlives its certificate, the roots below which it stands, or a revocation.
 */

import {
  type Clock,
  type Closable,
  type Logger,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { type Certificate, CertificateError, parseCertificate } from '../../pki/index.ts';
import type { Caller, PeerVerdict, TlsCaller } from '../../rpc/index.ts';
import {
  type BundleSet,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
  verifyX509Svid,
} from '../../spiffe/index.ts';
import type { CaState } from '../ca-state.ts';
import type { AttestedCallers, Selectors } from '../workload/attested-callers.ts';
import { whenClosed } from '../workload/when-closed.ts';
import type { CallerLimits } from './caller-limits.ts';
import { RemoteSdsError } from './remote-error.ts';

export interface RemotePeersDeps {
  readonly trustDomain: TrustDomain;
  readonly state: Watch<CaState | undefined>;
  readonly limits: CallerLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Peer {
  readonly caller: TlsCaller;
  readonly id: SpiffeId;
  readonly chain: readonly Certificate[];
  readonly selectors: WatchSource<Selectors>;
  expiry: Timer | undefined;
}

type Verdict =
  | { readonly kind: 'valid'; readonly id: SpiffeId; readonly chain: readonly Certificate[] }
  | { readonly kind: 'refused'; readonly detail: string };

export class RemotePeers implements Pick<AttestedCallers, 'selectorsOf'>, Closable {
  readonly #deps: RemotePeersDeps;
  readonly #peers = new Map<string, Peer>();
  readonly #unsubscribe: () => void;

  constructor(deps: RemotePeersDeps) {
    this.#deps = deps;
    this.#unsubscribe = deps.state.subscribe(() => this.#judgeAll());
  }

  /** For the TLS listener. */
  verify(chainDer: readonly Uint8Array[]): PeerVerdict {
    const verdict = this.#judgeDer(chainDer);
    return verdict.kind === 'refused' ? verdict : { kind: 'accepted', identity: verdict.id };
  }

  /** For the TLS listener, after `verify`. */
  admit(caller: TlsCaller, chainDer: readonly Uint8Array[]): void {
    const verdict = this.#judgeDer(chainDer);
    const { log, limits } = this.#deps;
    if (verdict.kind === 'refused') {
      caller.disconnect();
      return;
    }
    const { id, chain } = verdict;
    if (!limits.connect(id, caller.closed)) {
      log.warn('a caller has too many connections', { spiffeId: id, address: caller.address });
      caller.disconnect();
      return;
    }
    const selectors = new WatchSource<Selectors>(selectorsOf(id));
    const peer: Peer = { caller, id, chain, selectors, expiry: undefined };
    this.#peers.set(caller.connection, peer);
    this.#watchExpiry(peer);
    whenClosed(caller.closed, () => {
      peer.expiry?.cancel();
      this.#peers.delete(caller.connection);
    });
    log.info('a sidecar has connected', { spiffeId: id, address: caller.address });
  }

  /** Rejects with RemoteSdsError for a connection that was not admitted, or is no more. */
  async selectorsOf(caller: Caller): Promise<Watch<Selectors>> {
    const peer = this.#peers.get(caller.connection);
    if (peer !== undefined) return peer.selectors;
    throw new RemoteSdsError(
      'sds_peer_unknown',
      'unauthenticated',
      'the connection is not, or no longer, that of a known peer',
    );
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    for (const { expiry } of this.#peers.values()) expiry?.cancel();
  }

  #judgeDer(chainDer: readonly Uint8Array[]): Verdict {
    if (chainDer.length === 0) return { kind: 'refused', detail: 'it has shown no certificate' };
    try {
      return this.#judge(chainDer.map((der) => parseCertificate(der)));
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      return { kind: 'refused', detail: error.message };
    }
  }

  #judge(chain: readonly Certificate[]): Verdict {
    const { state, trustDomain, clock } = this.#deps;
    const now = state.current();
    const own = now?.bundles.get(trustDomain);
    if (now === undefined || own === undefined) {
      return { kind: 'refused', detail: 'the CA has not been heard of yet' };
    }
    // Only our own trust domain's: a bundle we federate with speaks for peers, not for who gets keys here.
    const bundles: BundleSet = new Map([[trustDomain, own]]);
    const atMs = clock.wallMs();
    const verdict = verifyX509Svid({ chain, bundles, atMs, purpose: 'clientAuth' });
    if (verdict.kind === 'refused') {
      return { kind: 'refused', detail: `${verdict.code}: ${verdict.detail}` };
    }
    if (chain.some(({ serial }) => now.revokedSerials.has(serial))) {
      return { kind: 'refused', detail: `the certificate of ${verdict.id} is revoked` };
    }
    return { kind: 'valid', id: verdict.id, chain };
  }

  #judgeAll(): void {
    for (const peer of Array.from(this.#peers.values())) this.#judgeAgain(peer);
  }

  #judgeAgain(peer: Peer): void {
    const verdict = this.#judge(peer.chain);
    if (verdict.kind === 'valid') return;
    this.#deps.log.warn('a sidecar is not believed any more', {
      spiffeId: peer.id,
      address: peer.caller.address,
      reason: verdict.detail,
    });
    // The connection first: a stream that loses its secrets must not be told of it as of a change.
    peer.caller.disconnect();
    this.#peers.delete(peer.caller.connection);
    peer.selectors.set(noSelectors);
  }

  #watchExpiry(peer: Peer): void {
    const { clock } = this.#deps;
    const endMs = Math.min(...peer.chain.map(({ notAfterMs }) => notAfterMs));
    // A certificate is good through the last second that it names.
    const leftMs = endMs + 1000 - clock.wallMs();
    peer.expiry = clock.after(Math.min(Math.max(leftMs, 0), recheckMs), () => {
      this.#judgeAgain(peer);
      if (this.#peers.has(peer.caller.connection)) this.#watchExpiry(peer);
    });
  }
}

/** What entries can ask for of a caller that is known by its certificate alone. */
function selectorsOf(id: SpiffeId): Selectors {
  return new Set([`mtls:spiffe_id:${id}`, `mtls:trust_domain:${trustDomainOf(id)}`]);
}

const noSelectors: Selectors = new Set();
// Wall time may jump; this is the most that a jump can keep an ended certificate's connection.
const recheckMs = 60_000;
