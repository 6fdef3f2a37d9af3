/** What can go wrong when SVIDs are written to files. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../../core/index.ts';

export type SinkErrorCode =
  | 'sink_target'
  | 'sink_password'
  | 'sink_identity'
  | 'sink_reload'
  | 'sink_agent';

/** Its message names files and reasons, never what is in them. */
export class SinkError extends CodedError<SinkErrorCode> {
  override readonly name = 'SinkError';
  override readonly kind: ErrorKind;

  constructor(
    code: SinkErrorCode,
    kind: ErrorKind,
    message: string,
    options: CodedErrorOptions = {},
  ) {
    super(code, message, options);
    this.kind = kind;
  }
}
