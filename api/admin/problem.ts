/** Errors of the admin API, in the shape of RFC 9457 (problem details). */

import { z } from 'zod';
import { CodedError, type ErrorKind } from '../../core/index.ts';

export const problemSchema = z.object({
  /** Stable and exact; programs decide by it. */
  code: z.string(),
  kind: z.string(),
  title: z.string(),
  status: z.number().int(),
  remedy: z.string().optional(),
  /** The call's id, which is also in the CA's log and in the audit record. */
  requestId: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** The HTTP status of each kind of error (RFC 9110 §15). */
export const httpStatusOf: Readonly<Record<ErrorKind, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  already_exists: 409,
  failed_precondition: 409,
  aborted: 409,
  resource_exhausted: 429,
  deadline_exceeded: 504,
  unavailable: 503,
  unimplemented: 501,
  data_loss: 500,
  internal: 500,
};

/** A refusal of the admin API as the client throws it: the server's code, kind, text and remedy. */
export class AdminError extends CodedError {
  override readonly name = 'AdminError';
  override readonly kind: ErrorKind;

  constructor(kind: ErrorKind, code: string, message: string, remedy?: string, cause?: unknown) {
    super(code, message, {
      ...(remedy === undefined ? {} : { remedy }),
      ...(cause === undefined ? {} : { cause }),
    });
    this.kind = kind;
  }
}

export function isErrorKind(text: string): text is ErrorKind {
  return Object.hasOwn(httpStatusOf, text);
}
