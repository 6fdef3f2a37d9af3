/** Routes as values: an operation and what answers it. Who may call it is decided by the operation, never by the answer. */

import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { z } from 'zod';
import { AdminError, noBody, noQuery, type Operation } from '../../api/index.ts';
import type { Actor } from '../audit/event.ts';
import { actorOf, parseWith, reachOf } from './admin-context.ts';
import { isWithin } from './admin-roles.ts';

/** What it resolves with is the answer's body; what it throws becomes a problem. */
export type RouteHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

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

function outside(operationId: string, what: string, paths: readonly string[]): AdminError {
  return new AdminError(
    'permission_denied',
    'admin_scope',
    `${operationId}: ${what}, but this caller's role reaches only ${paths.join(', ')}`,
  );
}

// Routes without an operation value take only callers whose role has no paths, and are described by their path.

export function getRoute(url: string, handler: RouteHandler): RouteOptions {
  return { method: 'GET', url, handler: bare(handler) };
}

export function postRoute(url: string, handler: RouteHandler): RouteOptions {
  return { method: 'POST', url, handler: bare(handler) };
}

export function deleteRoute(url: string, handler: RouteHandler): RouteOptions {
  return { method: 'DELETE', url, handler: bare(handler) };
}

function bare(handler: RouteHandler): RouteHandler {
  return async (request, reply) => {
    const paths = reachOf(request);
    if (paths !== undefined)
      throw outside(operationOf(request.routeOptions).id, 'it is not bound to any path', paths);
    return handler(request, reply);
  };
}

/** The operation of a route; of one that declares none, what its method and path say. */
export function operationOf(route: {
  readonly method?: unknown;
  readonly url?: string | undefined;
  readonly config?: { readonly operation?: Operation };
}): Operation {
  const declared = route.config?.operation;
  if (declared !== undefined) return declared;
  const { url = '/' } = route;
  const method = methodSchema.catch('GET').parse(route.method);
  const names = [...url.matchAll(/:([A-Za-z]\w*)/g)].map(([, name = '']) => name);
  const parts = url.split('/').filter((part) => part !== '' && part !== 'v1');
  return {
    id: [method.toLowerCase(), ...parts.map(capitalized)].join(''),
    method,
    path: url,
    summary: `${method} ${url}`,
    resource: parts[0] ?? 'ca',
    verb: method === 'GET' ? 'read' : method === 'DELETE' ? 'delete' : 'act',
    params: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))),
    query: noQuery,
    body: method === 'GET' ? noBody : z.unknown(),
    answer: z.unknown(),
  };
}

function capitalized(part: string): string {
  const word = part.replaceAll(/[^A-Za-z0-9]/g, '');
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}

const methodSchema = z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);

declare module 'fastify' {
  interface FastifyContextConfig {
    operation?: Operation;
  }
}
