/** Why something could not be revoked. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type RevocationErrorCode =
  | 'revocation_nothing'
  | 'revocation_block'
  | 'revocations_many'
  | 'revocation_record_invalid';

export class RevocationError extends CodedError<RevocationErrorCode> {
  override readonly name = 'RevocationError';
  override readonly kind: ErrorKind;

  constructor(code: RevocationErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kinds[code];
  }
}

const kinds: Readonly<Record<RevocationErrorCode, ErrorKind>> = {
  revocation_nothing: 'not_found',
  revocation_block: 'invalid_argument',
  revocations_many: 'resource_exhausted',
  revocation_record_invalid: 'data_loss',
};
