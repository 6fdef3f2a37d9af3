/** Routes as values: an operation and what answers it. Who may call it is decided by the operation, never by the answer. */

import type { FastifyReply, RouteOptions } from 'fastify';
import type { z } from 'zod';
import { AdminError, type AdminVerb, type Operation } from '../../api/index.ts';
import type { Actor } from '../audit/event.ts';
import { actorOf, mayGive, parseWith, reachOf } from './admin-context.ts';
import { isWithin } from './admin-roles.ts';

export interface Input<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> {
  readonly params: z.output<Params>;
  readonly query: z.output<Query>;
  readonly body: z.output<Body>;
}

/**
 * What the operation is to a caller whose role reaches only some paths: nothing of any path is in it
 * (`open`), the answer leaves out what is outside (`filtered`), or it is about these SPIFFE IDs.
 * Without a scope such callers are refused.
 */
export type Scope<What> =
  | 'open'
  | 'filtered'
  | ((input: What) => readonly string[] | Promise<readonly string[]>);

export interface RouteOperation<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
> extends Operation<Params, Query, Body, Answer> {
  readonly scope?: Scope<Input<Params, Query, Body>>;
}

export interface AdminCall {
  readonly actor: Actor;
  readonly reply: FastifyReply;
  /** Whether this caller may know of that SPIFFE ID. */
  readonly sees: (spiffeId: string) => boolean;
}

/** The route of an operation: validated, within the caller's reach, and in the document. */
export function operationRoute<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
>(
  operation: RouteOperation<Params, Query, Body, Answer>,
  answer: (
    input: Input<Params, Query, Body>,
    call: AdminCall,
  ) => Promise<z.input<Answer> | FastifyReply>,
): RouteOptions {
  return {
    method: operation.method,
    url: operation.path,
    config: { operation },
    async handler(request, reply) {
      const input = {
        params: parseWith(operation.params, request.params),
        query: parseWith(operation.query, request.query),
        body: parseWith(operation.body, request.body ?? undefined),
      };
      const paths = reachOf(request);
      if (paths !== undefined) await checkScope(operation, input, paths);
      await checkGift(operation, input, (spiffeId) => mayGive(request, spiffeId));
      return answer(input, {
        actor: actorOf(request),
        reply,
        sees: (spiffeId) => isWithin(paths, spiffeId),
      });
    },
  };
}

async function checkScope<What>(
  operation: { readonly id: string; readonly scope?: Scope<What> },
  input: What,
  paths: readonly string[],
): Promise<void> {
  const { id, scope } = operation;
  if (scope === 'open' || scope === 'filtered') return;
  if (scope === undefined) throw outside(id, 'it is not bound to any path', paths);
  const stranger = (await scope(input)).find((spiffeId) => !isWithin(paths, spiffeId));
  if (stranger !== undefined) throw outside(id, stranger, paths);
}

/** An operator who registers an identity that has a role would have that role. */
async function checkGift<What>(
  operation: {
    readonly id: string;
    readonly resource: string;
    readonly verb: AdminVerb;
    readonly scope?: Scope<What>;
  },
  input: What,
  may: (spiffeId: string) => boolean,
): Promise<void> {
  const { id, resource, verb, scope } = operation;
  if (resource !== 'entries' || verb === 'read' || typeof scope !== 'function') return;
  const given = (await scope(input)).find((spiffeId) => !may(spiffeId));
  if (given === undefined) return;
  throw new AdminError(
    'permission_denied',
    'admin_escalation',
    `${id}: ${given} has a role on this API, so only an admin may register it`,
  );
}

function outside(operationId: string, what: string, paths: readonly string[]): AdminError {
  return new AdminError(
    'permission_denied',
    'admin_scope',
    `${operationId}: ${what}, but this caller's role reaches only ${paths.join(', ')}`,
  );
}

/** The operation of a route; every route of the admin API has one. */
export function operationOf(route: {
  readonly config?: { readonly operation?: Operation };
}): Operation {
  const operation = route.config?.operation;
  if (operation !== undefined) return operation;
  throw new AdminError('internal', 'operation_missing', 'the route declares no operation');
}

declare module 'fastify' {
  interface FastifyContextConfig {
    operation?: Operation;
  }
}
