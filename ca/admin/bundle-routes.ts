/** The trust domain's bundle on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { noBody, noParams, noQuery } from '../../api/index.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function bundleRoutes({ authorities }: AdminDeps): RouteOptions[] {
  return [
    operationRoute(bundleOperation, async (_input, { reply }) =>
      reply.type('application/json').send(authorities.trust.current().bundleDocument),
    ),
  ];
}

const bundleOperation = {
  id: 'getBundle',
  method: 'GET',
  path: '/v1/bundle',
  summary: "The trust domain's bundle, a SPIFFE JWKS document",
  resource: 'bundle',
  verb: 'read',
  params: noParams,
  query: noQuery,
  body: noBody,
  answer: z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) }),
  scope: 'open',
} as const;
