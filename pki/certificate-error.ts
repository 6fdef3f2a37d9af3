/** What can be wrong with bytes that claim to be a certificate. */

import { CodedError } from '../core/index.ts';

export type CertificateErrorCode =
  | 'certificate_malformed'
  | 'certificate_version'
  | 'certificate_serial'
  | 'certificate_algorithm'
  | 'certificate_validity'
  | 'certificate_extension'
  | 'certificate_extension_duplicate'
  | 'certificate_count'
  | 'certificate_template';

/** `certificate_malformed` has the {@link DerError} that says where as its cause. */
export class CertificateError extends CodedError<CertificateErrorCode> {
  override readonly name = 'CertificateError';
  override readonly kind = 'invalid_argument';
}
