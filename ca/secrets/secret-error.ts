/** What the store of named secrets refuses. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type SecretErrorCode =
  | 'secret_name'
  | 'secret_values'
  | 'secret_access'
  | 'secret_not_found'
  | 'secret_version'
  | 'secrets_many'
  | 'secret_changed'
  | 'secret_record_invalid';

export class SecretError extends CodedError<SecretErrorCode> {
  override readonly name = 'SecretError';
  override readonly kind: ErrorKind;

  constructor(code: SecretErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kinds[code];
  }
}

const kinds: Readonly<Record<SecretErrorCode, ErrorKind>> = {
  secret_name: 'invalid_argument',
  secret_values: 'invalid_argument',
  secret_access: 'invalid_argument',
  secret_not_found: 'not_found',
  secret_version: 'not_found',
  secrets_many: 'resource_exhausted',
  secret_changed: 'aborted',
  secret_record_invalid: 'data_loss',
};
