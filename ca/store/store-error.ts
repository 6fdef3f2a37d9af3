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
    this.kind = kinds[code];
  }
}

const kinds: Readonly<Record<StoreErrorCode, ErrorKind>> = {
  store_locked: 'failed_precondition',
  store_not_a_directory: 'failed_precondition',
  store_forbidden: 'failed_precondition',
  store_format: 'failed_precondition',
  store_corrupt: 'data_loss',
  store_record_invalid: 'data_loss',
  store_unavailable: 'unavailable',
  store_closed: 'unavailable',
  store_queue_full: 'resource_exhausted',
  store_key_invalid: 'invalid_argument',
  store_value_too_large: 'invalid_argument',
  store_transaction_invalid: 'invalid_argument',
};
