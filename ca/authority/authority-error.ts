/** What goes wrong with the CA's own keys: reading, sealing, and moving them through their states. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type AuthorityErrorCode =
  | 'kek_missing'
  | 'kek_malformed'
  | 'kek_wrong'
  | 'lifetimes_contradict'
  | 'authority_unknown'
  | 'authority_state'
  | 'authority_not_propagated'
  | 'authority_in_use'
  | 'authority_ended'
  | 'authority_conflict'
  | 'authority_record_invalid'
  | 'authority_trust_domain'
  | 'authority_certificate'
  | 'roots_too_many';

export class AuthorityError extends CodedError<AuthorityErrorCode> {
  override readonly name = 'AuthorityError';
  override readonly kind: ErrorKind;

  constructor(code: AuthorityErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kindOf(code);
  }
}

function kindOf(code: AuthorityErrorCode): ErrorKind {
  switch (code) {
    case 'kek_missing':
    case 'kek_malformed':
    case 'kek_wrong':
    case 'lifetimes_contradict':
    case 'authority_state':
    case 'authority_not_propagated':
    case 'authority_in_use':
    case 'authority_trust_domain':
    case 'roots_too_many':
      return 'failed_precondition';
    case 'authority_unknown':
      return 'not_found';
    case 'authority_ended':
      return 'unavailable';
    case 'authority_conflict':
      return 'aborted';
    case 'authority_record_invalid':
      return 'data_loss';
    case 'authority_certificate':
      return 'internal';
  }
}
