/** The admin API's own description. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  noBody,
  noParams,
  noQuery,
  type OpenApiDocument,
  type Operation,
  openApiDocument,
} from '../../api/index.ts';
import { operationOf, operationRoute } from './route.ts';

/** `routes` are all the others; this one describes itself too. */
export function openApiRoutes(routes: readonly RouteOptions[], version: string): RouteOptions[] {
  const document: OpenApiDocument = openApiDocument(
    [...routes.map(operationOf), openApiOperation],
    version,
  );
  return [operationRoute(openApiOperation, async () => document)];
}

const openApiOperation = {
  id: 'getOpenApi',
  method: 'GET',
  path: '/v1/openapi.json',
  summary: 'This API as an OpenAPI 3.1 document',
  resource: 'api',
  verb: 'read',
  params: noParams,
  query: noQuery,
  body: noBody,
  answer: z.looseObject({ openapi: z.string() }),
  scope: 'open',
} as const satisfies Operation & { readonly scope: 'open' };
