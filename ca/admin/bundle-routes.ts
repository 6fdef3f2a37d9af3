/** The trust domain's bundle on the admin API. */

import type { RouteOptions } from 'fastify';
import type { AdminDeps } from './admin-context.ts';
import { getRoute } from './route.ts';

export function bundleRoutes({ authorities }: AdminDeps): RouteOptions[] {
  return [
    getRoute('/v1/bundle', async (_request, reply) =>
      reply.type('application/json').send(authorities.trust.current().bundleDocument),
    ),
  ];
}
