/** What the registry refuses. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type RegistryErrorCode =
  | 'entry_exists'
  | 'entry_not_found'
  | 'entry_revision_conflict'
  | 'node_not_found'
  | 'token_not_found'
  | 'token_exists'
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
    this.kind = kindOf(code);
    this.existingId = options.existingId;
  }
}

function kindOf(code: RegistryErrorCode): ErrorKind {
  switch (code) {
    case 'entry_exists':
    case 'token_exists':
      return 'already_exists';
    case 'entry_not_found':
    case 'node_not_found':
    case 'token_not_found':
      return 'not_found';
    case 'entry_revision_conflict':
    case 'registry_busy':
      return 'aborted';
    case 'registry_record_invalid':
      return 'data_loss';
  }
}
