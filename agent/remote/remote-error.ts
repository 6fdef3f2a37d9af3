/** What a sidecar that calls from another machine is told. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type RemoteSdsErrorCode = 'sds_peer_unknown' | 'sds_streams' | 'sds_rate' | 'sds_rate_total';

export class RemoteSdsError extends CodedError<RemoteSdsErrorCode> {
  override readonly name = 'RemoteSdsError';
  override readonly kind: ErrorKind;

  constructor(
    code: RemoteSdsErrorCode,
    kind: ErrorKind,
    message: string,
    options: CodedErrorOptions = {},
  ) {
    super(code, message, options);
    this.kind = kind;
  }
}
