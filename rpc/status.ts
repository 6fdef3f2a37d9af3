/** Our error kinds and gRPC's status codes, one to one. Nothing outside this room knows the numbers. */

import { Metadata, type ServiceError, status, type StatusObject } from '@grpc/grpc-js';
import { CodedError, describeError, type ErrorKind } from '../core/index.ts';

/** A failed call to another program, with the far side's own stable code where it gave one. */
export class RpcError extends CodedError {
  override readonly name = 'RpcError';
  override readonly kind: ErrorKind;

  constructor(
    kind: ErrorKind,
    code: string,
    message: string,
    cause?: unknown,
    retryAfterMs?: number,
  ) {
    super(code, message, {
      ...(cause === undefined ? {} : { cause }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
    this.kind = kind;
  }
}

/** What goes on the wire for an error thrown by a handler. An error of ours that nobody expected stays vague. */
export function toStatus(error: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const metadata = new Metadata();
  if (!(error instanceof CodedError)) {
    return { code: status.INTERNAL, details: 'internal error', metadata };
  }
  metadata.set(codeKey, error.code);
  if (error.retryAfterMs !== undefined) {
    metadata.set(retryKey, String(Math.ceil(error.retryAfterMs)));
  }
  // Details travel in an HTTP/2 trailer; the bound keeps them far below a peer's header limit.
  return {
    code: statusOf[error.kind],
    details: describeError(error).slice(0, detailsMax),
    metadata,
  };
}

/** The number on the wire, for who forwards gRPC without speaking it. */
export function grpcStatusOf(kind: ErrorKind): number {
  return statusOf[kind];
}

/**
 * The number for a call whose stream was reset, by the reason: gRPC's HTTP/2 transport mapping, in which everything that
 * is not named is the server's fault.
 */
export function grpcStatusOfReset(reason: keyof typeof statusOfReset): number {
  return statusOfReset[reason];
}

/** The error a client call ended with. `what` names the far side, such as `CA at 127.0.0.1:7443`. */
export function fromServiceError(error: ServiceError, what: string): RpcError {
  const code = error.metadata?.get(codeKey)[0];
  const kind = kindOf.get(error.code) ?? 'internal';
  return new RpcError(
    kind,
    typeof code === 'string' ? code : `rpc_${kind}`,
    `${what}: ${error.details === '' ? error.message : error.details}`,
    undefined,
    readRetry(error.metadata?.get(retryKey)[0]),
  );
}

/** The far side's hint, if it is one: whole milliseconds. */
function readRetry(value: string | Uint8Array | undefined): number | undefined {
  return typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

const statusOfReset = {
  cancelled: status.CANCELLED,
  refused: status.UNAVAILABLE,
  overloaded: status.RESOURCE_EXHAUSTED,
  insecure: status.PERMISSION_DENIED,
  failed: status.INTERNAL,
} as const;

const statusOf: Readonly<Record<ErrorKind, status>> = {
  invalid_argument: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  permission_denied: status.PERMISSION_DENIED,
  not_found: status.NOT_FOUND,
  already_exists: status.ALREADY_EXISTS,
  failed_precondition: status.FAILED_PRECONDITION,
  resource_exhausted: status.RESOURCE_EXHAUSTED,
  deadline_exceeded: status.DEADLINE_EXCEEDED,
  unavailable: status.UNAVAILABLE,
  aborted: status.ABORTED,
  unimplemented: status.UNIMPLEMENTED,
  data_loss: status.DATA_LOSS,
  internal: status.INTERNAL,
};

const kindOf: ReadonlyMap<status, ErrorKind> = new Map([
  ...Object.entries(statusOf).flatMap(([kind, code]) =>
    isErrorKind(kind) ? [[code, kind] as const] : [],
  ),
  // Calls we cancel ourselves, and peers that name no reason.
  [status.CANCELLED, 'aborted'],
  [status.UNKNOWN, 'internal'],
  [status.OUT_OF_RANGE, 'invalid_argument'],
]);

function isErrorKind(text: string): text is ErrorKind {
  return Object.hasOwn(statusOf, text);
}

const codeKey = 'signet-code';
const retryKey = 'signet-retry-ms';
const detailsMax = 1024;
