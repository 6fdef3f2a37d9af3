/** What goes wrong in a call, as a problem document (RFC 9457): the cause in our log, the reason to the caller. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { httpStatusOf, type Problem } from '../../api/index.ts';
import { CodedError, type Logger } from '../../core/index.ts';
import type { AuditedRefusal } from '../audit/event.ts';

/** Answers a call that failed. */
export function replyWithProblem(error: unknown, reply: FastifyReply, log: Logger): void {
  if (error instanceof CodedError && error.retryAfterMs !== undefined) {
    // Whole seconds (RFC 9110 §10.2.3), and never sooner than we said.
    reply.header('retry-after', String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))));
  }
  sendProblem(reply, problemOf(error, reply.request, log));
}

function problemOf(error: unknown, request: FastifyRequest, log: Logger): Problem {
  if (error instanceof CodedError) {
    const { kind, code, message, remedy } = error;
    const problem = { code, kind, title: message, status: httpStatusOf[kind] };
    if (problem.status >= 500) {
      log.warn('an admin call could not be answered', { id: request.id, code, reason: message });
    }
    return remedy === undefined ? problem : { ...problem, remedy };
  }
  const status = statusOf(error);
  if (status !== undefined && status < 500) {
    const reason = error instanceof Error ? error.message : 'the request is not understood';
    // The framework quotes what it was given, which may be long.
    const title = reason.length > titleMax ? `${reason.slice(0, titleMax)}…` : reason;
    return { code: 'request_invalid', kind: 'invalid_argument', title, status };
  }
  const { id, method, url } = request;
  log.error('an admin call failed', { id, method, path: url, error });
  return { code: 'internal', kind: 'internal', title: 'internal error', status: 500 };
}

export function sendProblem(reply: FastifyReply, problem: Problem): void {
  const { request } = reply;
  refusals.set(request, { code: problem.code, detail: problem.title });
  void reply
    .code(problem.status)
    .type('application/problem+json')
    .header('x-request-id', request.id)
    .send({ ...problem, requestId: request.id });
}

/** Why a call was refused, once it was. */
export function refusalOf(request: FastifyRequest): AuditedRefusal | undefined {
  return refusals.get(request);
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

const titleMax = 256;
const refusals = new WeakMap<FastifyRequest, AuditedRefusal>();
