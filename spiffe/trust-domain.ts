/** The trust domain: the part of a SPIFFE ID that names its root of trust (SPIFFE-ID §2.1). */

import { CodedError } from '../core/index.ts';

declare const brand: unique symbol;

/** Such as `mesh.test`. Only {@link parseTrustDomain} makes one, so whoever holds one need not check it again. */
export type TrustDomain = string & { readonly [brand]: 'TrustDomain' };

export type TrustDomainErrorCode =
  | 'trust_domain_empty'
  | 'trust_domain_length'
  | 'trust_domain_character';

export class TrustDomainError extends CodedError<TrustDomainErrorCode> {
  override readonly name = 'TrustDomainError';
  override readonly kind = 'invalid_argument';
}

/** Checks a bare name, without `spiffe://`. Throws {@link TrustDomainError}. */
export function parseTrustDomain(text: string): TrustDomain {
  if (text === '') throw new TrustDomainError('trust_domain_empty', 'a trust domain is required');
  // Length first, so that nothing below ever walks unbounded input.
  if (text.length > trustDomainLengthMax) {
    throw new TrustDomainError(
      'trust_domain_length',
      `a trust domain has ${text.length} characters, at most ${trustDomainLengthMax} are allowed`,
    );
  }
  if (!isTrustDomain(text)) {
    throw new TrustDomainError(
      'trust_domain_character',
      `trust domain ${JSON.stringify(text)} has a character outside a-z, 0-9, dot, dash and underscore`,
      { remedy: 'write it in lower case, without spiffe:// and without a port' },
    );
  }
  return text;
}

/**
 * True if every character is allowed (ID-3). There is no case folding: identities are compared byte by
 * byte, so accepting two spellings of one name would make two identities out of one (ID-6). Names that
 * look like addresses get no other treatment.
 */
export function hasTrustDomainCharacters(text: string): boolean {
  return /^[a-z0-9._-]+$/.test(text);
}

function isTrustDomain(text: string): text is TrustDomain {
  return hasTrustDomainCharacters(text);
}

// ID-5.
export const trustDomainLengthMax = 255;
