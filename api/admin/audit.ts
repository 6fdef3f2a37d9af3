/** Questions to the audit log on the admin API. */

import { z } from 'zod';
import { auditRecordSchema } from './status.ts';

/** RFC 3339, as records have it; an offset is taken too. */
const timeSchema = z.iso.datetime({ offset: true });

/** All that are given must hold. */
export const auditQuerySchema = z.strictObject({
  /** A type such as `svid.issued`, or all of a kind: `svid.*`; several between commas. */
  type: z.string().min(1).max(512).optional(),
  spiffeId: z.string().min(1).max(2048).optional(),
  serial: z.string().min(1).max(128).optional(),
  node: z.string().min(1).max(2048).optional(),
  actor: z.string().min(1).max(2048).optional(),
  from: timeSchema.optional(),
  to: timeSchema.optional(),
  /** The `next` of the page before. */
  after: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

/** What a client sends of it. */
export type AuditFilterQuery = {
  readonly type?: string | undefined;
  readonly spiffeId?: string | undefined;
  readonly serial?: string | undefined;
  readonly node?: string | undefined;
  readonly actor?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
};

export const auditMatchesSchema = z.object({
  records: z.array(auditRecordSchema),
  /** Where to go on; absent on the last page. */
  next: z.number().optional(),
});
export type AuditMatches = z.infer<typeof auditMatchesSchema>;

export const heldQuerySchema = z.strictObject({
  spiffeId: z.string().min(1).max(2048),
  from: timeSchema,
  to: timeSchema,
});
export type HeldQuery = z.infer<typeof heldQuerySchema>;

/** One certificate or token that was valid for the identity in the span. */
export const holdingSchema = z.object({
  index: z.number(),
  kind: z.enum(['x509', 'jwt']),
  serial: z.string(),
  node: z.string(),
  spkiSha256: z.string().optional(),
  entryId: z.string().optional(),
  notBefore: z.string(),
  notAfter: z.string(),
  overlap: z.object({ from: z.string(), to: z.string() }).optional(),
  revoked: z.object({ index: z.number(), time: z.string() }).optional(),
  nodeOut: z.object({ index: z.number(), time: z.string(), type: z.string() }).optional(),
});
export type HoldingView = z.infer<typeof holdingSchema>;

export const heldListSchema = z.object({ holdings: z.array(holdingSchema) });
export type HeldList = z.infer<typeof heldListSchema>;

/** The newest signed checkpoint, as its file has it. */
export const checkpointSchema = z.object({
  note: z.string(),
  size: z.number(),
  rootHash: z.string(),
});
export type CheckpointView = z.infer<typeof checkpointSchema>;

/** A full segment that was copied elsewhere and is about to be removed. */
export const archiveMarkRequestSchema = z.strictObject({
  firstIndex: z.number().int().min(0),
  /** As the record will say it; the CA does not look there. */
  to: z.string().min(1).max(1024),
});
export type ArchiveMarkRequest = z.infer<typeof archiveMarkRequestSchema>;

export const archiveMarkSchema = z.object({ note: z.string() });
export type ArchiveMarkView = z.infer<typeof archiveMarkSchema>;
