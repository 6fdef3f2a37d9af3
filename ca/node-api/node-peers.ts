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
  readonly chain: readonly Certificate[];
  readonly id: SpiffeId;
  readonly notAfterMs: number;
  verifiedSequence: bigint;
}

export class NodePeers {
  readonly #deps: NodePeersDeps;
  /** By the leaf's bytes as the connection holds them: gone when the connection is. */
  readonly #peers = new WeakMap<Uint8Array, Peer>();

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
    if (this.#deps.isRevoked(serialOf(chain))) {
      return { kind: 'refused', detail: revoked(verdict.id).message };
    }
    this.#peers.set(leafDer, {
      chain,
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
    return { id, address: caller.address, notAfterMs, serial: serialOf(peer.chain) };
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
    if (this.#deps.isRevoked(serialOf(peer.chain))) throw revoked(peer.id);
    const { sequence } = this.#deps.trust.current().bundle;
    if (peer.verifiedSequence === sequence) return;
    const verdict = this.#judge(peer.chain);
    if (verdict.kind === 'refused') {
      throw new NodeApiError('unauthenticated', 'node_svid_refused', verdict.detail);
    }
    peer.verifiedSequence = sequence;
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

function serialOf(chain: readonly Certificate[]): string {
  return chain[0]?.serial ?? '';
}

function parseChain(chainDer: readonly Uint8Array[]): readonly Certificate[] | string {
  try {
    return chainDer.map((der) => parseCertificate(der));
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    return error.message;
  }
}
