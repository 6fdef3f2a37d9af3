/** The node's own SVID: what the agent shows the CA. */

import type { KeyObject } from 'node:crypto';
import { equalBytes, toHex } from '../core/index.ts';
import {
  type Certificate,
  keyIdOfSpki,
  spkiOf,
  type VerifiedPairs,
  verifyPath,
} from '../pki/index.ts';
import { type BundleSet, parseX509Svid, type SpiffeId, trustDomainOf } from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';

export interface NodeSvid {
  readonly id: SpiffeId;
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
  readonly rootKeyId: string;
  readonly notAfterMs: number;
  readonly renewAtMs: number;
}

/** A chain that was checked against the bundle and the key it is for. */
export interface CheckedChain {
  readonly id: SpiffeId;
  readonly chain: readonly Certificate[];
  readonly rootKeyId: string;
  /** The earliest end of the chain: the SVID is of no use after it. */
  readonly notAfterMs: number;
}

/**
 * Checks what the CA answered to a CSR before anyone uses it: an X509-SVID, over our key, with a path to
 * a root of its own trust domain. Throws {@link AgentError} or X509SvidError.
 */
export function checkChain(p: {
  readonly certificates: readonly Uint8Array[];
  readonly publicKey: KeyObject;
  readonly bundles: BundleSet;
  readonly atMs: number;
  /** Where many chains have one issuer, it is verified once. */
  readonly verifiedPairs?: VerifiedPairs;
}): CheckedChain {
  const { id, chain } = parseX509Svid(p.certificates.map((der) => new Uint8Array(der)));
  const refuse = (reason: string): never => {
    throw new AgentError('node_svid_invalid', 'internal', `the CA's answer for ${id} ${reason}`);
  };
  const [leaf] = chain;
  if (leaf === undefined) return refuse('is empty');
  if (!equalBytes(leaf.spki, spkiOf(p.publicKey))) return refuse('is over another key');
  const bundle = p.bundles.get(trustDomainOf(id));
  if (bundle === undefined) return refuse('is of a trust domain with no bundle here');
  const verdict = verifyPath({
    chain,
    anchors: bundle.x509Authorities,
    atMs: p.atMs,
    ...(p.verifiedPairs === undefined ? {} : { verifiedPairs: p.verifiedPairs }),
  });
  if (verdict.kind === 'refused') return refuse(`does not verify: ${verdict.detail}`);
  const root = verdict.path.at(-1);
  if (root === undefined) return refuse('has no path');
  return {
    id,
    chain,
    rootKeyId: toHex(keyIdOfSpki(root.spki)),
    notAfterMs: Math.min(...chain.map((certificate) => certificate.notAfterMs)),
  };
}
