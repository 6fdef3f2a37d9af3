/** Why a certificate was not issued: a value inside the CA, an error at its edges. */

import { CodedError, type ErrorKind } from '../../core/index.ts';
import type { CsrErrorCode } from '../../pki/index.ts';

export type IssuanceRefusalCode =
  | 'node_unknown'
  | 'entry_not_authorized'
  | 'id_blocked'
  | 'secret_not_entitled'
  | CsrErrorCode
  | 'key_kind'
  | 'key_of_authority'
  | 'issuer_ending'
  | 'issuer_not_begun'
  | 'entry_ending'
  | 'issuer_ended'
  | 'policy_denied'
  | 'audience_invalid'
  | 'jwt_key_ended';

export interface IssuanceRefusal {
  readonly kind: 'refused';
  readonly reason: ErrorKind;
  readonly code: IssuanceRefusalCode;
  readonly detail: string;
  /** The rule of the operator's policy that refused, if one did, and its reason. */
  readonly policy?: { readonly rule: string; readonly reason: string };
}

export function refuse(
  reason: ErrorKind,
  code: IssuanceRefusalCode,
  detail: string,
): IssuanceRefusal {
  return { kind: 'refused', reason, code, detail };
}

/** A refusal as it leaves a call that asked for one certificate only. */
export class IssuanceRefusedError extends CodedError<IssuanceRefusalCode> {
  override readonly name = 'IssuanceRefusedError';
  override readonly kind: ErrorKind;

  constructor({ reason, code, detail }: IssuanceRefusal) {
    super(code, detail);
    this.kind = reason;
  }
}

/** What must never happen, and is caught before a key touches the bytes. */
export class LintError extends CodedError<'lint_failed'> {
  override readonly name = 'LintError';
  override readonly kind = 'internal';
}
