/** The audit log's records on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  archiveMarkRequestSchema,
  archiveMarkSchema,
  auditListSchema,
  noBody,
  noParams,
  noQuery,
} from '../../api/index.ts';
import { readAuditPage } from './audit-page.ts';
import { auditQueryRoutes } from './audit-query-routes.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function auditRoutes(deps: AdminDeps): RouteOptions[] {
  return [
    operationRoute(listOperation, async ({ query: { from, limit } }) => {
      const size = deps.audit.size();
      const start = from < 0 ? Math.max(0, size + from) : from;
      const records = await readAuditPage({
        directory: deps.auditDirectory,
        from: start,
        limit,
        size,
      });
      return { records: records.map((record) => ({ ...record })), size };
    }),
    operationRoute(archiveOperation, async ({ body }, { actor }) => ({
      note: await deps.archiveMarker.markArchived(body, actor),
    })),
    ...auditQueryRoutes(deps),
  ];
}

const listOperation = {
  id: 'listAuditRecords',
  method: 'GET',
  path: '/v1/audit',
  summary: 'Records of the audit log, oldest first; a negative `from` counts back from the end',
  resource: 'audit',
  verb: 'read',
  params: noParams,
  query: z.strictObject({
    from: z.coerce.number().int(),
    limit: z.coerce.number().int().min(1).max(1000).default(100),
  }),
  body: noBody,
  answer: auditListSchema,
} as const;

const archiveOperation = {
  id: 'markSegmentArchived',
  method: 'POST',
  path: '/v1/audit/archive-marks',
  summary:
    'Record that a full segment was copied elsewhere, and sign the mark that takes its place',
  resource: 'audit',
  verb: 'create',
  params: noParams,
  query: noQuery,
  body: archiveMarkRequestSchema,
  answer: archiveMarkSchema,
} as const;
