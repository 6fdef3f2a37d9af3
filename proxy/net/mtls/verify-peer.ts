/** Who a TLS peer is: its chain against the bundle of its own trust domain, then the list of those let in. */

import { CodedError } from '../../../core/index.ts';
import { type Certificate, type TlsPurpose, VerifiedPairs } from '../../../pki/index.ts';
import { decidePeer, type PeerPolicy } from '../../../policies/index.ts';
import { type BundleSet, type SpiffeId, verifyX509Svid } from '../../../spiffe/index.ts';
import { ParsedCertificates } from './parsed-certificates.ts';
import type { RevocationLists } from './revoked-peers.ts';

export type PeerRefusal =
  | 'no_certificate'
  | 'certificate_unreadable'
  | 'certificate_untrusted'
  | 'certificate_revoked'
  | 'peer_not_allowed';

/** What a live connection goes on to stand on. */
export interface PeerCertificate {
  /** From the leaf to the root. */
  readonly path: readonly Certificate[];
  readonly verifiedAtMs: number;
}

export type PeerOutcome =
  | { readonly kind: 'accepted'; readonly id: SpiffeId; readonly certificate: PeerCertificate }
  | { readonly kind: 'refused'; readonly code: PeerRefusal; readonly detail: string };

/**
 * What makes a peer that comes again cheap. It holds no verdict: names, time, trust and the list are
 * judged anew every time.
 */
export interface PeerMemory {
  readonly certificates: ParsedCertificates;
  /** Signatures that held before. */
  readonly verifiedPairs: VerifiedPairs;
}

export function createPeerMemory(): PeerMemory {
  return { certificates: new ParsedCertificates(), verifiedPairs: new VerifiedPairs() };
}

export interface VerifyPeer {
  /** DER, leaf first, as the peer presented it. TLS itself has proved that the peer holds the leaf's key. */
  readonly chain: readonly Uint8Array[];
  readonly bundles: BundleSet;
  readonly lists: RevocationLists;
  readonly purpose: TlsPurpose;
  readonly policy: PeerPolicy;
  readonly nowMs: number;
  readonly memory: PeerMemory;
}

export function verifyPeer(options: VerifyPeer): PeerOutcome {
  const { chain, bundles, lists, purpose, policy, nowMs, memory } = options;
  if (chain.length === 0) return refused('no_certificate', 'the peer sent no certificate');
  const certificates = parseChain(chain, memory.certificates);
  if (typeof certificates === 'string') return refused('certificate_unreadable', certificates);
  const verdict = verifyX509Svid({
    chain: certificates,
    bundles,
    atMs: nowMs,
    purpose,
    verifiedPairs: memory.verifiedPairs,
  });
  if (verdict.kind === 'refused') return refused('certificate_untrusted', verdict.detail);
  const { path } = verdict;
  if (path.length < 2) {
    return refused('certificate_untrusted', 'the peer presents an authority');
  }
  const revoked = lists.whyRevoked(path);
  if (revoked !== undefined) return refused('certificate_revoked', `${verdict.id}: ${revoked}`);
  const decision = decidePeer(policy, verdict.id);
  if (decision.kind === 'deny') return refused('peer_not_allowed', decision.reason);
  return { kind: 'accepted', id: verdict.id, certificate: { path, verifiedAtMs: nowMs } };
}

function parseChain(
  chain: readonly Uint8Array[],
  certificates: ParsedCertificates,
): readonly Certificate[] | string {
  try {
    return chain.map((der) => certificates.parse(der));
  } catch (error) {
    if (error instanceof CodedError) {
      return `the peer's certificate cannot be read: ${error.message}`;
    }
    throw error;
  }
}

function refused(code: PeerRefusal, detail: string): PeerOutcome {
  return { kind: 'refused', code, detail };
}
