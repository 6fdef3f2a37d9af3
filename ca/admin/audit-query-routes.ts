/** Questions to the audit log on the admin API: the same code that answers them from the files alone. */

import type { RouteOptions } from 'fastify';
import {
  auditMatchesSchema,
  auditQuerySchema,
  checkpointSchema,
  heldListSchema,
  heldQuerySchema,
  noBody,
  noParams,
  noQuery,
} from '../../api/index.ts';
import { toHex } from '../../core/index.ts';
import { heldBy } from '../audit/held.ts';
import { newestCheckpoint } from '../audit/prove.ts';
import { queryPage } from '../audit/query.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

type AuditDeps = Pick<AdminDeps, 'audit' | 'auditDirectory'>;

export function auditQueryRoutes({ audit, auditDirectory: directory }: AuditDeps): RouteOptions[] {
  return [
    operationRoute(queryOperation, async ({ query }) => {
      const { type, from, to, after, limit, ...filter } = query;
      const endIndex = audit.size();
      const page = await queryPage(
        {
          ...filter,
          directory,
          endIndex,
          types: type?.split(','),
          fromMs: from === undefined ? undefined : Date.parse(from),
          toMs: to === undefined ? undefined : Date.parse(to),
          fromIndex: after,
        },
        limit,
      );
      return { records: page.records.map((record) => ({ ...record })), next: page.next };
    }),
    operationRoute(heldOperation, async ({ query: { spiffeId, from, to } }) => {
      const holdings = await heldBy({
        directory,
        endIndex: audit.size(),
        spiffeId,
        fromMs: Date.parse(from),
        toMs: Date.parse(to),
      });
      return { holdings: [...holdings] };
    }),
    operationRoute(checkpointOperation, async () => {
      const { note, checkpoint } = await newestCheckpoint({ directory });
      return { note, size: checkpoint.size, rootHash: toHex(checkpoint.rootHash) };
    }),
  ];
}

const queryOperation = {
  id: 'queryAuditRecords',
  method: 'GET',
  path: '/v1/audit/query',
  summary: 'Records of the audit log that match, oldest first; `next` is where to go on',
  resource: 'audit',
  verb: 'read',
  params: noParams,
  query: auditQuerySchema,
  body: noBody,
  answer: auditMatchesSchema,
} as const;

const heldOperation = {
  id: 'whoHeld',
  method: 'GET',
  path: '/v1/audit/held',
  summary: 'Who could have held an identity in a span of time',
  resource: 'audit',
  verb: 'read',
  params: noParams,
  query: heldQuerySchema,
  body: noBody,
  answer: heldListSchema,
} as const;

const checkpointOperation = {
  id: 'getAuditCheckpoint',
  method: 'GET',
  path: '/v1/audit/checkpoint',
  summary: 'The newest signed checkpoint, to be kept elsewhere',
  resource: 'audit',
  verb: 'read',
  params: noParams,
  query: noQuery,
  body: noBody,
  answer: checkpointSchema,
} as const;
