/** What can go wrong between the CA and its store. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type StoreErrorCode =
  | 'store_locked'
  | 'store_not_a_directory'
  | 'store_forbidden'
  | 'store_corrupt'
  | 'store_format'
  | 'store_unavailable'
  | 'store_closed'
  | 'store_queue_full'
  | 'store_key_invalid'
  | 'store_value_too_large'
  | 'store_transaction_invalid'
  | 'store_record_invalid';

export class StoreError extends CodedError<StoreErrorCode> {
  override readonly name = 'StoreError';
  override readonly kind: ErrorKind;

  constructor(code: StoreErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kindOf(code);
  }
}

function kindOf(code: StoreErrorCode): ErrorKind {
  switch (code) {
    case 'store_locked':
    case 'store_not_a_directory':
    case 'store_forbidden':
    case 'store_format':
      return 'failed_precondition';
    case 'store_corrupt':
    case 'store_record_invalid':
      return 'data_loss';
    case 'store_unavailable':
    case 'store_closed':
      return 'unavailable';
    case 'store_queue_full':
      return 'resource_exhausted';
    case 'store_key_invalid':
    case 'store_value_too_large':
    case 'store_transaction_invalid':
      return 'invalid_argument';
  }
}
