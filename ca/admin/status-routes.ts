/** The CA at a glance, and whether it lives and is ready. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  noBody,
  noParams,
  noQuery,
  type StatusQuery,
  statusQuerySchema,
  type StatusView,
  statusSchema,
} from '../../api/index.ts';
import { toHex } from '../../core/index.ts';
import { activeIssuing } from '../authority/slot.ts';
import type { SecretStandings } from '../node-api/secret-standings.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function statusRoutes(deps: AdminDeps): RouteOptions[] {
  const { authorities, audit, clock } = deps;

  return [
    operationRoute(statusOperation, async ({ query }, { sees }) => {
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
        secrets: {
          ...standingsSeen(deps.connected.secrets(), sees),
          ...holdingsSeen(deps.connected, query, sees),
        },
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

/** The counts name nobody; a refusal names an identity, and is for whoever may know of it. */
function standingsSeen(
  { authorities, versions, refusals }: SecretStandings,
  sees: (spiffeId: string) => boolean,
): Pick<StatusView['secrets'], 'authorities' | 'versions' | 'refusals'> {
  return {
    authorities: [...authorities],
    versions: [...versions],
    refusals: refusals
      .filter(({ spiffeId }) => sees(spiffeId))
      .map(({ nodeId, sinceMs, ...refusal }) => ({
        ...refusal,
        nodeId: sees(nodeId) ? nodeId : '',
        since: timeOf(sinceMs),
      })),
  };
}

/** What names an identity is for whoever may know of it; how many others there are is told to nobody else. */
function holdingsSeen(
  connected: AdminDeps['connected'],
  { node, spiffeId }: StatusQuery,
  sees: (spiffeId: string) => boolean,
): Pick<StatusView['secrets'], 'holdings' | 'moreHoldings'> {
  const { holdings, more } = connected.holdings(
    (nodeId, id) =>
      (node === undefined || node === nodeId) &&
      (spiffeId === undefined || spiffeId === id) &&
      sees(id === '' ? nodeId : id),
  );
  return {
    holdings: holdings.map(({ nodeId, sinceMs, ...holding }) => ({
      ...holding,
      nodeId: sees(nodeId) ? nodeId : '',
      since: timeOf(sinceMs),
    })),
    moreHoldings: more,
  };
}

/** A node says it, so it may be no time at all. */
function timeOf(ms: number): string {
  return new Date(Math.min(Math.max(0, ms), timeMsMax)).toISOString();
}

// ECMA-262 §21.4.1.1: the last time that a Date can hold.
const timeMsMax = 8.64e15;

const nothing = { params: noParams, query: noQuery, body: noBody };

const statusOperation = {
  ...nothing,
  query: statusQuerySchema,
  id: 'getStatus',
  method: 'GET',
  path: '/v1/status',
  summary: 'The CA at a glance',
  resource: 'ca',
  verb: 'read',
  answer: statusSchema,
  scope: 'filtered',
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
