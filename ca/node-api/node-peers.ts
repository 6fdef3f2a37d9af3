/**
 * Who calls: a peer's chain is verified against our own bundle when it connects, and again whenever the
 * bundle has changed since, so that a connection does not outlive the trust it stood on.
 */

import type { Clock, Watch } from '../../core/index.ts';
import { CertificateError, type Certificate, parseCertificate } from '../../pki/index.ts';
import type { Caller, PeerVerdict } from '../../rpc/index.ts';
import { pathOf, type SpiffeId, verifyX509Svid } from '../../spiffe/index.ts';
import type { Trust } from '../authority/trust.ts';
import type { NodeCaller } from '../issuance/profile.ts';
import { NodeApiError } from './node-api-error.ts';

export interface NodePeersDeps {
  readonly clock: Clock;
  readonly trust: Watch<Trust>;
  isNode(id: SpiffeId): Promise<boolean>;
  /** True if the certificate with this serial must not be believed any more. */
  isRevoked(serial: string): boolean;
}

/** A node that calls, and until when its certificate speaks for it. */
export interface VerifiedNode extends NodeCaller {
  readonly notAfterMs: number;
  /** Of the certificate it connected with. */
  readonly serial: string;
}

interface Peer {
  /** DER: a parsed chain is five times as large, and is needed again only when the trust has changed. */
  readonly chainDer: readonly Uint8Array[];
  /** Leaf first. */
  readonly serials: readonly string[];
  readonly id: SpiffeId;
  readonly notAfterMs: number;
  verifiedSequence: bigint;
}

export class NodePeers {
  readonly #deps: NodePeersDeps;
  /** By the leaf's bytes as the connection holds them: gone when the connection is. */
  readonly #peers = new WeakMap<Uint8Array, Peer>();
  #lastIssuers: readonly Uint8Array[] = [];

  constructor(deps: NodePeersDeps) {
    this.#deps = deps;
  }

  /** For the TLS listener. A peer without a certificate is let in as nobody: it may only attest. */
  verify(chainDer: readonly Uint8Array[]): PeerVerdict {
    const [leafDer] = chainDer;
    if (leafDer === undefined) return { kind: 'accepted', identity: undefined };
    const chain = parseChain(chainDer);
    if (typeof chain === 'string') return { kind: 'refused', detail: chain };
    const verdict = this.#judge(chain);
    if (verdict.kind === 'refused') {
      return { kind: 'refused', detail: `${verdict.code}: ${verdict.detail}` };
    }
    // One that is revoked may connect, as whoever has no certificate may, and each call tells it so: a
    // handshake that breaks off has no words, and an evicted node would try for ever.
    this.#peers.set(leafDer, {
      chainDer: [leafDer, ...this.#issuersOf(chainDer)],
      serials: chain.map(({ serial }) => serial),
      id: verdict.id,
      notAfterMs: Math.min(...chain.map(({ notAfterMs }) => notAfterMs)),
      verifiedSequence: this.#deps.trust.current().bundle.sequence,
    });
    return { kind: 'accepted', identity: verdict.id };
  }

  /** The node that makes this call. Throws {@link NodeApiError}. */
  async nodeOf(caller: Caller): Promise<VerifiedNode> {
    const peer =
      caller.kind === 'tls' && caller.leaf !== undefined ? this.#peers.get(caller.leaf) : undefined;
    if (peer === undefined || caller.kind !== 'tls') {
      throw new NodeApiError(
        'unauthenticated',
        'node_svid_required',
        'this call needs a node SVID',
        {
          remedy: 'attest the node first',
        },
      );
    }
    this.#checkStillTrusted(peer);
    if (!pathOf(peer.id).startsWith('/signet/node/')) {
      throw new NodeApiError('permission_denied', 'node_unknown', `${peer.id} is not a node`);
    }
    if (!(await this.#deps.isNode(peer.id))) {
      throw new NodeApiError(
        'permission_denied',
        'node_unknown',
        `node ${peer.id} is not registered here any more`,
        { remedy: 'attest it again with a new token' },
      );
    }
    const { id, notAfterMs } = peer;
    return { id, address: caller.address, notAfterMs, serial: peer.serials[0] ?? '' };
  }

  #checkStillTrusted(peer: Peer): void {
    if (this.#deps.clock.wallMs() >= peer.notAfterMs + 1000) {
      throw new NodeApiError(
        'unauthenticated',
        'node_svid_expired',
        `the certificate that ${peer.id} connected with has ended`,
        { remedy: 'connect again with the renewed one' },
      );
    }
    if (this.#isAnyRevoked(peer.serials)) throw revoked(peer.id);
    const { sequence } = this.#deps.trust.current().bundle;
    if (peer.verifiedSequence === sequence) return;
    const chain = parseChain(peer.chainDer);
    const verdict = this.#judge(typeof chain === 'string' ? [] : chain);
    if (verdict.kind === 'refused') {
      throw new NodeApiError('unauthenticated', 'node_svid_refused', verdict.detail);
    }
    peer.verifiedSequence = sequence;
  }

  /** Nearly all nodes have theirs from one issuer: its bytes are kept once. */
  #issuersOf([, ...issuers]: readonly Uint8Array[]): readonly Uint8Array[] {
    const isLast =
      issuers.length === this.#lastIssuers.length &&
      issuers.every((der, at) => Buffer.from(der).equals(this.#lastIssuers[at] ?? der.subarray(1)));
    if (!isLast) this.#lastIssuers = issuers;
    return this.#lastIssuers;
  }

  /** Itself, or the issuing authority that it presents above itself. */
  #isAnyRevoked(serials: readonly string[]): boolean {
    return serials.some((serial) => this.#deps.isRevoked(serial));
  }

  #judge(chain: readonly Certificate[]): ReturnType<typeof verifyX509Svid> {
    const { bundle } = this.#deps.trust.current();
    return verifyX509Svid({
      chain,
      bundles: new Map([[bundle.trustDomain, bundle]]),
      atMs: this.#deps.clock.wallMs(),
      purpose: 'clientAuth',
    });
  }
}

/** What a peer is told whose certificate was revoked, at its next call or where it waits. */
export function revoked(id: SpiffeId): NodeApiError {
  return new NodeApiError(
    'unauthenticated',
    'node_svid_revoked',
    `the certificate of ${id} was revoked`,
    { remedy: 'attest the node again' },
  );
}

function parseChain(chainDer: readonly Uint8Array[]): readonly Certificate[] | string {
  try {
    return chainDer.map((der) => parseCertificate(der));
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    return error.message;
  }
}
