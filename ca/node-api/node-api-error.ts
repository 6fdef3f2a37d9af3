/** Why a call of an agent was refused before its matter was looked at. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type NodeApiErrorCode =
  | 'node_svid_required'
  | 'node_svid_refused'
  | 'node_svid_expired'
  | 'node_svid_revoked'
  | 'node_unknown'
  | 'attestor_unknown'
  | 'attestation_refused'
  | 'items_many';

export class NodeApiError extends CodedError {
  override readonly name = 'NodeApiError';
  override readonly kind: ErrorKind;

  /** `code` is one of {@link NodeApiErrorCode}, or an attestor's own. */
  constructor(
    kind: ErrorKind,
    code: NodeApiErrorCode | (string & {}),
    message: string,
    options?: CodedErrorOptions,
  ) {
    super(code, message, options);
    this.kind = kind;
  }
}
