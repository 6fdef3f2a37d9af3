/** Whether a peer's certificates prove its SPIFFE ID (X509-SVID §5; rules ). */

import {
  type Certificate,
  type PathRefusalCode,
  type TlsPurpose,
  type VerifiedPairs,
  verifyPath,
} from '../pki/index.ts';
import type { BundleSet } from './bundle.ts';
import { checkLeaf, type LeafRefusalCode } from './check-leaf.ts';
import { type SpiffeId, trustDomainOf } from './spiffe-id.ts';

export interface VerifyX509SvidOptions {
  /** Leaf first. */
  readonly chain: readonly Certificate[];
  readonly bundles: BundleSet;
  readonly atMs: number;
  readonly purpose?: TlsPurpose;
  /** See `VerifyPathOptions`. */
  readonly verifiedPairs?: VerifiedPairs;
}

export type SvidRefusal = LeafRefusalCode | PathRefusalCode | 'bundle_unknown' | 'bundle_empty';

export type SvidVerdict =
  | {
      readonly kind: 'valid';
      readonly id: SpiffeId /** Leaf to anchor. */;
      readonly path: readonly Certificate[];
    }
  | { readonly kind: 'refused'; readonly code: SvidRefusal; readonly detail: string };

/**
 * The peer's ID, or why it is not believed. Only the bundle of the leaf's own trust domain counts: an
 * authority of one domain that signed an ID of another proves nothing, however well both are known.
 *
 * @example
 * const verdict = verifyX509Svid({ chain, bundles, atMs: clock.wallMs(), purpose: 'clientAuth' });
 */
export function verifyX509Svid(options: VerifyX509SvidOptions): SvidVerdict {
  const { chain, bundles, ...rest } = options;
  const leaf = chain[0];
  if (leaf === undefined) return refused('chain_empty', 'there is no certificate');
  const identity = checkLeaf(leaf);
  if (identity.kind === 'refused') return identity;
  const { id } = identity;
  const trustDomain = trustDomainOf(id);
  const bundle = bundles.get(trustDomain);
  if (bundle === undefined) {
    return refused('bundle_unknown', `${id}: no bundle for trust domain ${trustDomain}`);
  }
  // B-1: an empty bundle means that everything in it was revoked.
  if (bundle.x509Authorities.length === 0) {
    return refused('bundle_empty', `${id}: the bundle of ${trustDomain} has no X.509 authority`);
  }
  const verdict = verifyPath({ chain, anchors: bundle.x509Authorities, ...rest });
  return verdict.kind === 'valid' ? { kind: 'valid', id, path: verdict.path } : verdict;
}

function refused(code: SvidRefusal, detail: string): SvidVerdict {
  return { kind: 'refused', code, detail };
}
