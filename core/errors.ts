/** Errors that say what went wrong, to whom it is due, and what to do about it. */

import { inspect } from 'node:util';

/**
 * What a caller can do about an error. The names are gRPC's, so that `rpc/` can map them one to one,
 * but nothing outside `rpc/` knows their numbers.
 */
export type ErrorKind =
  | 'invalid_argument'
  | 'unauthenticated'
  | 'permission_denied'
  | 'not_found'
  | 'already_exists'
  | 'failed_precondition'
  | 'resource_exhausted'
  | 'deadline_exceeded'
  | 'unavailable'
  | 'aborted'
  | 'unimplemented'
  | 'data_loss'
  | 'internal';

export interface CodedErrorOptions {
  readonly cause?: unknown;
  /** What the reader should do, as an imperative sentence without a full stop. */
  readonly remedy?: string;
  /** When it is worth to try again, where whoever refuses knows. */
  readonly retryAfterMs?: number;
}

/**
 * The base of every error this project throws.
 *
 * `code` is stable and exact, a union of literals per room, so that `switch (error.code)` narrows.
 * `kind` says what a caller can do. `message` names the thing and the reason in one line.
 */
export abstract class CodedError<Code extends string = string> extends Error {
  abstract readonly kind: ErrorKind;
  readonly code: Code;
  readonly remedy: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** One line for a person: the message, its causes, and the remedy of the outermost error that has one. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let remedy: string | undefined;
  let current: unknown = error;
  for (let depth = 0; current !== undefined && depth < causeDepthMax; depth += 1) {
    const text = messageOf(current);
    if (!parts.some((part) => part.includes(text))) parts.push(text);
    if (current instanceof CodedError) remedy ??= current.remedy;
    current = current instanceof Error ? current.cause : undefined;
  }
  const line = parts.join(': ').replaceAll(/\s*\n\s*/g, ' ');
  return remedy === undefined ? line : `${line}; ${remedy}`;
}

function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === 'string' ? error : inspect(error);
}

/** The process exit code for an error: 2 where the user can mend it, 1 where the fault is ours. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return error instanceof CodedError && userKinds.has(error.kind) ? 2 : 1;
}

/** The `code` of a Node.js system error such as `ENOENT`, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const userKinds: ReadonlySet<ErrorKind> = new Set<ErrorKind>([
  'invalid_argument',
  'unauthenticated',
  'permission_denied',
  'not_found',
  'already_exists',
  'failed_precondition',
]);

// A chain of causes is short; the bound only stops a cycle.
const causeDepthMax = 8;
