/** What can go wrong between a CA and its backup. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type BackupErrorCode =
  | 'backup_not_one'
  | 'backup_version'
  | 'backup_truncated'
  | 'backup_corrupt'
  | 'backup_audit_broken'
  | 'backup_audit_lags'
  | 'backup_nothing'
  | 'backup_exists'
  | 'restore_target'
  | 'restore_failed';

export class BackupError extends CodedError<BackupErrorCode> {
  override readonly name = 'BackupError';
  override readonly kind: ErrorKind;

  constructor(code: BackupErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = kinds[code];
  }
}

const kinds: Readonly<Record<BackupErrorCode, ErrorKind>> = {
  backup_not_one: 'invalid_argument',
  backup_version: 'invalid_argument',
  backup_truncated: 'data_loss',
  backup_corrupt: 'data_loss',
  backup_audit_broken: 'data_loss',
  backup_audit_lags: 'unavailable',
  backup_nothing: 'failed_precondition',
  backup_exists: 'already_exists',
  restore_target: 'failed_precondition',
  restore_failed: 'unavailable',
};
