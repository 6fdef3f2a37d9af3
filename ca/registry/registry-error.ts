/** What the registry refuses. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type RegistryErrorCode =
  | 'entry_exists'
  | 'entry_not_found'
  | 'entry_changed'
  | 'node_not_found'
  | 'node_id'
  | 'node_banned'
  | 'rule_not_found'
  | 'rules_many'
  | 'token_not_found'
  | 'token_ttl'
  | 'token_alias'
  | 'registry_busy'
  | 'registry_record_invalid';

export interface RegistryErrorOptions extends CodedErrorOptions {
  readonly existingId?: string;
}

export class RegistryError extends CodedError<RegistryErrorCode> {
  override readonly name = 'RegistryError';
  override readonly kind: ErrorKind;
  /** With `entry_exists`: the id of the entry that stands in the way. */
  readonly existingId: string | undefined;

  constructor(code: RegistryErrorCode, message: string, options: RegistryErrorOptions = {}) {
    super(code, message, options);
    this.kind = kinds[code];
    this.existingId = options.existingId;
  }
}

const kinds: Readonly<Record<RegistryErrorCode, ErrorKind>> = {
  entry_exists: 'already_exists',
  token_ttl: 'invalid_argument',
  token_alias: 'invalid_argument',
  entry_not_found: 'not_found',
  node_not_found: 'not_found',
  node_id: 'invalid_argument',
  node_banned: 'failed_precondition',
  rule_not_found: 'not_found',
  rules_many: 'failed_precondition',
  token_not_found: 'not_found',
  entry_changed: 'aborted',
  registry_busy: 'aborted',
  registry_record_invalid: 'data_loss',
};
