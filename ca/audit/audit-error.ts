/** What can go wrong while the audit log is kept. A broken log found by `verify` is a value, not this. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type AuditErrorCode =
  | 'audit_queue_full'
  | 'audit_record_too_large'
  | 'audit_write_failed'
  | 'audit_closed'
  | 'audit_broken'
  | 'audit_unreadable'
  | 'audit_key_mismatch'
  | 'audit_origin_invalid';

export class AuditError extends CodedError<AuditErrorCode> {
  override readonly name = 'AuditError';
  override readonly kind: ErrorKind;

  constructor(code: AuditErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kindOf(code);
  }
}

function kindOf(code: AuditErrorCode): ErrorKind {
  switch (code) {
    case 'audit_queue_full':
      return 'resource_exhausted';
    case 'audit_record_too_large':
    case 'audit_origin_invalid':
      return 'invalid_argument';
    case 'audit_write_failed':
    case 'audit_closed':
      return 'unavailable';
    case 'audit_broken':
      return 'data_loss';
    case 'audit_unreadable':
    case 'audit_key_mismatch':
      return 'failed_precondition';
  }
}
