/** Why a secret is refused. The text goes back to the SDS server, so it never holds a byte of a key. */

import { CodedError } from '../../core/index.ts';

export type SecretErrorCode =
  | 'secret_missing'
  | 'secret_kind'
  | 'secret_source'
  | 'certificate_unreadable'
  | 'certificate_expired'
  | 'certificate_unusable'
  | 'key_unreadable'
  | 'key_mismatch'
  | 'bundle_unreadable'
  | 'crl_unreadable'
  | 'bundle_empty'
  | 'bundle_repeated'
  | 'bundle_missing';

export class SecretError extends CodedError<SecretErrorCode> {
  override readonly name = 'SecretError';
  override readonly kind = 'invalid_argument';
}
