/** Idempotency keys on the wire: a repeated POST gets the stored answer before its handler runs. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../core/index.ts';
import type { Actor } from '../audit/event.ts';
import { actorOf } from './admin-context.ts';
import { IdempotencyKeys } from './idempotency.ts';

export function answerOnce(app: FastifyInstance, clock: Clock): void {
  const keys = new IdempotencyKeys(clock);
  const slots = new WeakMap<FastifyRequest, string>();

  // After the body is read and the role is judged, before the handler.
  app.addHook('preHandler', async (request, reply) => {
    const key = request.headers['idempotency-key'];
    if (request.method !== 'POST' || key === undefined) return;
    const claim = keys.claim({
      caller: callerName(actorOf(request)),
      key: Array.isArray(key) ? key.join(',') : key,
      request: `${request.url}\n${JSON.stringify(request.body ?? null)}`,
    });
    if (claim.kind === 'first') {
      slots.set(request, claim.slot);
      return;
    }
    const { status, type, body } = claim.answer;
    await reply.code(status).type(type).header('idempotency-replayed', 'true').send(body);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const slot = slots.get(request);
    if (slot === undefined) return payload;
    // What failed for a passing reason may be tried again with the same key.
    const isFinal = reply.statusCode < 500 && reply.statusCode !== 429;
    if (isFinal && typeof payload === 'string') {
      const type = String(reply.getHeader('content-type') ?? 'application/json');
      keys.finish(slot, { status: reply.statusCode, type, body: payload });
    } else {
      keys.abandon(slot);
    }
    return payload;
  });
}

/** A person who repeats a command does so from another process. */
function callerName({ id, uid }: Actor): string {
  return uid === undefined ? id : `uid:${uid}`;
}
