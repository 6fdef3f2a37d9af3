/** The audit log's records on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import type { AuditList } from '../../api/index.ts';
import { readAuditPage } from './audit-page.ts';
import { type AdminDeps, parseWith } from './admin-context.ts';
import { getRoute } from './route.ts';

export function auditRoutes(deps: AdminDeps): RouteOptions[] {
  return [
    getRoute('/v1/audit', async (request): Promise<AuditList> => {
      const { from, limit } = parseWith(pageSchema, request.query);
      const size = deps.audit.size();
      const start = from < 0 ? Math.max(0, size + from) : from;
      const records = await readAuditPage({
        directory: deps.auditDirectory,
        clock: deps.clock,
        from: start,
        limit,
        size,
      });
      return { records: records.map((record) => ({ ...record })), size };
    }),
  ];
}

const pageSchema = z.strictObject({
  from: z.coerce.number().int(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
