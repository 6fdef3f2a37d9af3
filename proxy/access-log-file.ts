/** The file of the access log, opened at start so that a wrong path is an error then and not silence later. */

import { createWriteStream, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { CodedError, type Logger, systemErrorCode } from '../core/index.ts';

export class AccessLogError extends CodedError<'access_log_unusable'> {
  override readonly name = 'AccessLogError';
  override readonly kind = 'failed_precondition';
}

/** Opens for appending. Throws {@link AccessLogError}. Later errors are logged and cost lines only. */
export function openAccessLogFile(path: string, log: Logger): Writable {
  const file = createWriteStream(path, { fd: open(path) });
  file.on('error', (error) => {
    log.error('the access log cannot be written', { path, reason: error.message });
  });
  return file;
}

function open(path: string): number {
  try {
    return openSync(path, 'a', fileMode);
  } catch (cause) {
    if (systemErrorCode(cause) === undefined) throw cause;
    throw new AccessLogError('access_log_unusable', `cannot open the access log ${path}`, {
      cause,
      remedy: 'choose a file in a directory that exists and that this user may write to',
    });
  }
}

// Paths and identities of callers are for the operator and his group.
const fileMode = 0o640;
