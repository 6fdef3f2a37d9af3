/** What the CA measures of itself, for a scraper. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { noBody, noParams, noQuery } from '../../api/index.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function metricsRoutes({ metrics }: AdminDeps): RouteOptions[] {
  return [
    operationRoute(metricsOperation, async (_input, { reply }) =>
      reply.type(metrics.contentType).send(await metrics.text()),
    ),
  ];
}

const metricsOperation = {
  id: 'getMetrics',
  method: 'GET',
  path: '/metrics',
  summary: 'What the CA measures of itself, as Prometheus reads it',
  resource: 'ca',
  verb: 'read',
  params: noParams,
  query: noQuery,
  body: noBody,
  answer: z.string(),
  answerType: 'text/plain',
  scope: 'open',
} as const;
