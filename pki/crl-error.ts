/** What can be wrong with bytes that claim to be a certificate revocation list. */

import { CodedError } from '../core/index.ts';

export type CrlErrorCode =
  | 'crl_malformed'
  | 'crl_version'
  | 'crl_algorithm'
  | 'crl_validity'
  | 'crl_extension'
  | 'crl_entry'
  /** What was to be written into a list is not right. */
  | 'crl_values';

export class CrlError extends CodedError<CrlErrorCode> {
  override readonly name = 'CrlError';
  override readonly kind = 'invalid_argument';
}
