/** Why the bundle of another trust domain is not taken in. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type FederationErrorCode =
  | 'federated_bundle_own'
  | 'federated_bundle_invalid'
  | 'federated_bundle_size'
  | 'federated_bundle_private'
  | 'federated_bundle_empty'
  | 'federated_bundle_authority'
  | 'federated_bundle_sequence'
  | 'federated_bundle_unknown'
  | 'federated_bundles_many'
  | 'federated_bundle_record';

export class FederationError extends CodedError<FederationErrorCode> {
  override readonly name = 'FederationError';
  override readonly kind: ErrorKind;

  constructor(code: FederationErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kinds[code];
  }
}

const kinds: Readonly<Record<FederationErrorCode, ErrorKind>> = {
  federated_bundle_own: 'invalid_argument',
  federated_bundle_invalid: 'invalid_argument',
  federated_bundle_size: 'invalid_argument',
  federated_bundle_private: 'invalid_argument',
  federated_bundle_empty: 'failed_precondition',
  federated_bundle_authority: 'invalid_argument',
  federated_bundle_sequence: 'failed_precondition',
  federated_bundle_unknown: 'not_found',
  federated_bundles_many: 'resource_exhausted',
  federated_bundle_record: 'data_loss',
};
