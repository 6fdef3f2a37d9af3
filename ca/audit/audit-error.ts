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
  | 'audit_origin_invalid'
  | 'audit_verifier_invalid'
  | 'audit_tile_missing'
  | 'audit_record_unknown'
  | 'audit_proof_malformed'
  | 'audit_archive_refused'
  | 'audit_lost'
  | 'audit_behind'
  | 'audit_forked'
  | 'audit_restart_refused';

export class AuditError extends CodedError<AuditErrorCode> {
  override readonly name = 'AuditError';
  override readonly kind: ErrorKind;

  constructor(code: AuditErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kinds[code];
  }
}

const kinds: Readonly<Record<AuditErrorCode, ErrorKind>> = {
  audit_queue_full: 'resource_exhausted',
  audit_record_too_large: 'invalid_argument',
  audit_origin_invalid: 'invalid_argument',
  audit_verifier_invalid: 'invalid_argument',
  audit_write_failed: 'unavailable',
  audit_closed: 'unavailable',
  audit_broken: 'data_loss',
  audit_unreadable: 'failed_precondition',
  audit_key_mismatch: 'failed_precondition',
  audit_tile_missing: 'data_loss',
  audit_record_unknown: 'not_found',
  audit_proof_malformed: 'invalid_argument',
  audit_archive_refused: 'failed_precondition',
  audit_lost: 'data_loss',
  audit_behind: 'data_loss',
  audit_forked: 'data_loss',
  audit_restart_refused: 'failed_precondition',
};
