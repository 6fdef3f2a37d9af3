/** Routes as values: an operation and what answers it. Who may call it is decided by the operation, never by the answer. */

import type { FastifyReply, RouteOptions } from 'fastify';
import type { z } from 'zod';
import { AdminError, type AdminVerb, type Operation } from '../../api/index.ts';
import type { Actor } from '../audit/event.ts';
import { actorOf, mayGive, mayGiveAll, parseWith, reachesOf, reachOf } from './admin-context.ts';
import { isWithin, mayPlace, type Placement, type Reach } from './admin-roles.ts';

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
  /** Identities that the operation gives on nodes: both sides must be within the caller's reach. */
  readonly placements?: (input: Input<Params, Query, Body>) => readonly Placement[];
  /** Identities that nodes come to by it, though it does not name them. */
  readonly gifts?: (input: Input<Params, Query, Body>) => Promise<readonly string[]>;
  /** Identities that get the admin role by it: an admin's to give. */
  readonly admins?: (input: Input<Params, Query, Body>) => readonly string[];
}

export interface AdminCall {
  readonly actor: Actor;
  readonly reply: FastifyReply;
  /** Whether this caller may know of that SPIFFE ID. */
  readonly sees: (spiffeId: string) => boolean;
  /** Throws {@link AdminError} `admin_escalation` if one of them is not this caller's to give or to take. */
  readonly checkGift: (spiffeIds: Iterable<string>) => void;
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
      checkPlacements(operation, input, reachesOf(request));
      const checkGift = (spiffeIds: Iterable<string>): void => {
        refuseGift(operation.id, spiffeIds, (spiffeId) => mayGive(request, spiffeId));
      };
      if (!mayGiveAll(request)) {
        refuseGift(operation.id, operation.admins?.(input) ?? [], () => false);
        checkGift(await giftsOf(operation, input));
      }
      return answer(input, {
        actor: actorOf(request),
        reply,
        sees: (spiffeId) => isWithin(paths, spiffeId),
        checkGift,
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

/** An identity given on a node is the node's to use: whose nodes those may be is the config's to say. */
function checkPlacements<What>(
  operation: { readonly id: string; readonly placements?: (input: What) => readonly Placement[] },
  input: What,
  reaches: readonly Reach[] | undefined,
): void {
  if (reaches === undefined) return;
  const stranger = operation.placements?.(input).find((each) => !mayPlace(reaches, each));
  if (stranger === undefined) return;
  const reached = [...new Set(reaches.flatMap(({ parents }) => parents))].join(', ');
  throw new AdminError(
    'permission_denied',
    'admin_scope',
    `${operation.id}: ${stranger.spiffeId} on ${stranger.parentId}, but this caller's role reaches only parents under ${reached}`,
    'name an alias within the role’s paths as the parent, or have `parents` added to its rule in the config',
  );
}

/** What the operation gives: the identities that it registers, and those that it leads nodes to. */
async function giftsOf<What>(
  operation: {
    readonly resource: string;
    readonly verb: AdminVerb;
    readonly scope?: Scope<What>;
    readonly gifts?: (input: What) => Promise<readonly string[]>;
  },
  input: What,
): Promise<readonly string[]> {
  const { resource, verb, scope, gifts } = operation;
  const led = (await gifts?.(input)) ?? [];
  if (resource !== 'entries' || verb === 'read' || typeof scope !== 'function') return led;
  return [...(await scope(input)), ...led];
}

/** An operator who registers an identity that has a role, or names a node that has it, would have that role. */
function refuseGift(
  id: string,
  spiffeIds: Iterable<string>,
  may: (spiffeId: string) => boolean,
): void {
  for (const given of spiffeIds) {
    if (may(given)) continue;
    throw new AdminError(
      'permission_denied',
      'admin_escalation',
      `${id}: ${given} has a role on this API, or would have one, so only an admin may say who has it`,
    );
  }
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
