/** The CA at a glance, and whether it lives and is ready. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { noBody, noParams, noQuery, statusSchema } from '../../api/index.ts';
import { toHex } from '../../core/index.ts';
import { activeIssuing } from '../authority/slot.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function statusRoutes(deps: AdminDeps): RouteOptions[] {
  const { authorities, audit, clock } = deps;

  return [
    operationRoute(statusOperation, async () => {
      const set = authorities.current();
      return {
        trustDomain: deps.trustDomain,
        version: deps.version,
        startedAt: new Date(deps.startedAtMs).toISOString(),
        now: new Date(clock.wallMs()).toISOString(),
        revision: deps.store.revision(),
        ...deps.counts(),
        nodesConnected: deps.connected.count(),
        issued: deps.issued(),
        activeRootId: authorities.trust.current().activeRoot.id,
        activeIssuingId: activeIssuing(set)?.id ?? '',
        audit: { size: audit.size(), rootHash: toHex(audit.rootHash()) },
        agentAddress: deps.agentAddress,
      };
    }),
    operationRoute(livezOperation, async () => ({ status: 'ok' as const })),
    operationRoute(readyzOperation, async (_input, { reply }) => {
      const { isReady, reasons } = await deps.readiness();
      if (isReady) return { status: 'ok' as const, reasons: [] };
      return reply.code(503).send({ status: 'not ready', reasons });
    }),
  ];
}

const nothing = { params: noParams, query: noQuery, body: noBody };

const statusOperation = {
  ...nothing,
  id: 'getStatus',
  method: 'GET',
  path: '/v1/status',
  summary: 'The CA at a glance',
  resource: 'ca',
  verb: 'read',
  answer: statusSchema,
  scope: 'open',
} as const;

const livezOperation = {
  ...nothing,
  id: 'getLivez',
  method: 'GET',
  path: '/livez',
  summary: 'Whether the process answers at all',
  resource: 'ca',
  verb: 'read',
  answer: z.object({ status: z.literal('ok') }),
  scope: 'open',
} as const;

const readyzOperation = {
  ...nothing,
  id: 'getReadyz',
  method: 'GET',
  path: '/readyz',
  summary: 'Whether the CA can issue, and what stands in the way',
  resource: 'ca',
  verb: 'read',
  answer: z.object({ status: z.enum(['ok', 'not ready']), reasons: z.array(z.string()) }),
  otherStatuses: [503],
  scope: 'open',
} as const;
