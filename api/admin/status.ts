/** The state of a CA at a glance, and its audit records, on the admin API. */

import { z } from 'zod';

export const statusSchema = z.object({
  trustDomain: z.string(),
  version: z.string(),
  startedAt: z.string(),
  now: z.string(),
  revision: z.number(),
  entries: z.number(),
  nodes: z.number(),
  nodesConnected: z.number(),
  issued: z.number(),
  activeRootId: z.string(),
  activeIssuingId: z.string(),
  audit: z.object({ size: z.number(), rootHash: z.string() }),
  agentAddress: z.string(),
});
export type StatusView = z.infer<typeof statusSchema>;

/** The record as written, one JSON object a record; its shape by `type` is in `ca/audit`. */
export const auditRecordSchema = z.looseObject({
  index: z.number(),
  time: z.string(),
  type: z.string(),
});
export type AuditRecordView = z.infer<typeof auditRecordSchema>;

export const auditListSchema = z.object({ records: z.array(auditRecordSchema), size: z.number() });
export type AuditList = z.infer<typeof auditListSchema>;
