/** What can be wrong with a bundle document. */

import { CodedError } from '../core/index.ts';

export type BundleErrorCode =
  | 'bundle_json'
  | 'bundle_keys'
  | 'bundle_size'
  | 'bundle_certificate'
  | 'bundle_key'
  | 'bundle_key_id'
  | 'bundle_key_id_duplicate'
  | 'bundle_sequence'
  | 'bundle_refresh_hint';

export class BundleError extends CodedError<BundleErrorCode> {
  override readonly name = 'BundleError';
  override readonly kind = 'invalid_argument';
}
