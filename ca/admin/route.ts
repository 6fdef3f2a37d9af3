/** Routes as values: a method, a path, and what answers. */

import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';

/** What it resolves with is the answer's body; what it throws becomes a problem. */
export type RouteHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

export function getRoute(url: string, handler: RouteHandler): RouteOptions {
  return { method: 'GET', url, handler };
}

export function postRoute(url: string, handler: RouteHandler): RouteOptions {
  return { method: 'POST', url, handler };
}

export function deleteRoute(url: string, handler: RouteHandler): RouteOptions {
  return { method: 'DELETE', url, handler };
}
