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
  | 'authority_upstream'
  | 'upstream_invalid'
  | 'roots_too_many';

export class AuthorityError extends CodedError<AuthorityErrorCode> {
  override readonly name = 'AuthorityError';
  override readonly kind: ErrorKind;

  constructor(code: AuthorityErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kinds[code];
  }
}

const kinds: Readonly<Record<AuthorityErrorCode, ErrorKind>> = {
  kek_missing: 'failed_precondition',
  kek_malformed: 'failed_precondition',
  kek_wrong: 'failed_precondition',
  lifetimes_contradict: 'failed_precondition',
  authority_unknown: 'not_found',
  authority_state: 'failed_precondition',
  authority_not_propagated: 'failed_precondition',
  authority_in_use: 'failed_precondition',
  authority_ended: 'unavailable',
  authority_conflict: 'aborted',
  authority_record_invalid: 'data_loss',
  authority_trust_domain: 'failed_precondition',
  authority_certificate: 'internal',
  authority_upstream: 'failed_precondition',
  upstream_invalid: 'invalid_argument',
  roots_too_many: 'failed_precondition',
};
