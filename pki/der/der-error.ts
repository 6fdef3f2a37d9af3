/** What can be wrong with bytes that claim to be DER (X.690 §8, §10 and §11). */

import { CodedError } from '../../core/index.ts';

export type DerErrorCode =
  | 'der_truncated'
  | 'der_trailing'
  | 'der_length'
  | 'der_tag'
  | 'der_depth'
  | 'der_size'
  | 'der_boolean'
  | 'der_integer'
  | 'der_null'
  | 'der_bit_string'
  | 'der_object_identifier'
  | 'der_string'
  | 'der_time'
  | 'der_default'
  | 'der_set_order';

/** Thrown by every reader and encoder of DER; the message says what was expected and what stood there. */
export class DerError extends CodedError<DerErrorCode> {
  override readonly name = 'DerError';
  override readonly kind = 'invalid_argument';
}
