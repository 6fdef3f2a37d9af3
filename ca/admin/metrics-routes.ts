/** What the CA measures of itself, for a scraper. */

import type { RouteOptions } from 'fastify';
import type { AdminDeps } from './admin-context.ts';
import { getRoute } from './route.ts';

export function metricsRoutes({ metrics }: AdminDeps): RouteOptions[] {
  return [
    getRoute('/metrics', async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.text()),
    ),
  ];
}
