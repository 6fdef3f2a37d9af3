/** What can be wrong with a key. */

import { CodedError } from '../core/index.ts';

export type KeyErrorCode = 'key_malformed' | 'key_kind_unsupported';

/** Never carries key bytes: a message may reach a log. */
export class KeyError extends CodedError<KeyErrorCode> {
  override readonly name = 'KeyError';
  override readonly kind = 'invalid_argument';
}
