/** An X509-SVID: a SPIFFE ID and the certificates that speak for it, leaf first. */

import { CodedError } from '../core/index.ts';
import { type Certificate, CertificateError, parseCertificate } from '../pki/index.ts';
import { checkLeaf, type LeafRefusalCode } from './check-leaf.ts';
import type { SpiffeId } from './spiffe-id.ts';

export interface X509Svid {
  readonly id: SpiffeId;
  readonly chain: readonly Certificate[];
}

export type X509SvidErrorCode = LeafRefusalCode | 'svid_empty' | 'svid_certificate';

export class X509SvidError extends CodedError<X509SvidErrorCode> {
  override readonly name = 'X509SvidError';
  override readonly kind = 'invalid_argument';
}

/**
 * Reads a chain, leaf first, and checks the leaf. Throws {@link X509SvidError}. It says nothing
 * about trust: that is `verifyX509Svid`.
 */
export function parseX509Svid(chainDer: readonly Uint8Array[]): X509Svid {
  const chain = chainDer.map(parseMember);
  const leaf = chain[0];
  if (leaf === undefined) throw new X509SvidError('svid_empty', 'an X509-SVID has no certificate');
  const verdict = checkLeaf(leaf);
  if (verdict.kind === 'refused') throw new X509SvidError(verdict.code, verdict.detail);
  return { id: verdict.id, chain };
}

function parseMember(der: Uint8Array, index: number): Certificate {
  try {
    return parseCertificate(der);
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new X509SvidError('svid_certificate', `certificate ${index}: ${cause.message}`, {
      cause,
    });
  }
}
