/** The state of a CA at a glance, and its audit records, on the admin API. */

import { z } from 'zod';

const secretCounts = {
  acknowledged: z.number(),
  refused: z.number(),
  /** Sent, and not answered yet. */
  waiting: z.number(),
  /** Connected nodes that report it. */
  nodes: z.number(),
};

// SPIFFE-ID §2.4.
const idLengthMax = 2048;

/** What the sidecars of the fleet made of their secrets, as connected nodes report it. */
export const secretStandingsSchema = z.object({
  authorities: z.array(
    z.object({ authorityKeyId: z.string(), versions: z.number(), ...secretCounts }),
  ),
  versions: z.array(z.object({ authorityKeyId: z.string(), version: z.string(), ...secretCounts })),
  refusals: z.array(
    z.object({
      nodeId: z.string(),
      spiffeId: z.string(),
      name: z.string(),
      version: z.string(),
      /** The sidecar's own words. */
      error: z.string(),
      since: z.string(),
    }),
  ),
  /** Who holds what, since when: the sidecars of one identity on one node together. */
  holdings: z.array(
    z.object({
      nodeId: z.string(),
      spiffeId: z.string(),
      name: z.string(),
      version: z.string(),
      state: z.enum(['acknowledged', 'waiting', 'refused']),
      clients: z.number(),
      since: z.string(),
    }),
  ),
  /** How many more there are; a node or an identity can be asked for alone. */
  moreHoldings: z.number(),
});

/** Narrows the holdings. */
export const statusQuerySchema = z.strictObject({
  node: z.string().max(idLengthMax).optional(),
  spiffeId: z.string().max(idLengthMax).optional(),
});
export type StatusQuery = z.infer<typeof statusQuerySchema>;

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
  secrets: secretStandingsSchema,
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
