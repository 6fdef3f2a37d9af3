/** Which keys may be certified for what. That a key is sound was settled when the request was read. */

import { equalBytes } from '../../core/index.ts';
import type { CertificateRequest, KeyKind } from '../../pki/index.ts';
import { type IssuanceRefusal, refuse } from './issuance-refusal.ts';

export interface KeyPolicy {
  readonly kinds: ReadonlySet<KeyKind>;
}

/** Every kind we know: what a workload's own library can make is for it to choose. */
export const leafKeyPolicy: KeyPolicy = {
  kinds: new Set<KeyKind>(['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-3072', 'rsa-4096']),
};

/** Undefined if the key, of this identifier, is good. A leaf must not have the key of the authority that signs it. */
export function judgeKey(
  request: CertificateRequest,
  policy: KeyPolicy,
  keyId: Uint8Array,
  issuerKeyId: Uint8Array,
): IssuanceRefusal | undefined {
  if (!policy.kinds.has(request.keyKind)) {
    return refuse('invalid_argument', 'key_kind', `${request.keyKind} keys are not accepted here`);
  }
  if (!equalBytes(keyId, issuerKeyId)) return undefined;
  return refuse('invalid_argument', 'key_of_authority', 'the key is one of the CA itself');
}
