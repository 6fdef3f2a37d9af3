/** Registration entries on the admin API. */

import { z } from 'zod';
import { problemSchema } from './problem.ts';

/** Loose here on purpose: `ca/registry` parses the values and names every fault at once. */
export const createEntrySchema = z.strictObject({
  spiffeId: z.string(),
  /** A node SPIFFE ID, or an alias that several nodes share. */
  parentId: z.string(),
  selectors: z.array(z.string()),
  x509SvidTtlSeconds: z.number().int().positive().optional(),
  /** The longest life of its tokens, and the usual one. */
  jwtSvidTtlSeconds: z.number().int().positive().optional(),
  dnsNames: z.array(z.string()).optional(),
  hint: z.string().optional(),
  federatesWith: z.array(z.string()).optional(),
  admin: z.boolean().optional(),
  priority: z.number().int().optional(),
  /** RFC 3339; from then on the entry gives nobody an identity. */
  expiresAt: z.iso.datetime({ offset: true }).optional(),
});
export type CreateEntry = z.infer<typeof createEntrySchema>;

/** The whole entry as it shall be: what is left out is as in a new one. */
export const updateEntrySchema = createEntrySchema.extend({
  /** The revision that was read; the update is refused with `entry_changed` if another one stands. */
  expectedRevision: z.number().int().positive().optional(),
});
export type UpdateEntry = z.infer<typeof updateEntrySchema>;

export const entrySchema = z.object({
  id: z.string(),
  spiffeId: z.string(),
  parentId: z.string(),
  selectors: z.array(z.string()),
  x509SvidTtlSeconds: z.number().optional(),
  jwtSvidTtlSeconds: z.number().optional(),
  dnsNames: z.array(z.string()),
  hint: z.string(),
  federatesWith: z.array(z.string()),
  admin: z.boolean(),
  priority: z.number(),
  expiresAt: z.string().optional(),
  createdAt: z.string(),
  revision: z.number(),
});
export type EntryView = z.infer<typeof entrySchema>;

export const entryListSchema = z.object({
  entries: z.array(entrySchema),
  /** Give it as `after` to get the next page; absent on the last one. */
  next: z.string().optional(),
});
export type EntryList = z.infer<typeof entryListSchema>;

/** One import takes at most so many entries; a larger file is cut in two. */
export const importEntriesMax = 100_000;

export const importEntriesSchema = z.strictObject({
  entries: z.array(createEntrySchema).max(importEntriesMax),
  /** Also removes what stands and is not in the import. */
  prune: z.boolean().optional(),
  /** Only says what would be done. */
  dryRun: z.boolean().optional(),
});
export type ImportEntries = z.infer<typeof importEntriesSchema>;

export const importFaultSchema = z.object({
  /** The entry's place in the import, from 0. */
  index: z.number(),
  field: z.string(),
  code: z.string(),
  detail: z.string(),
});
export type ImportFaultView = z.infer<typeof importFaultSchema>;

export const importChangeSchema = z.object({
  kind: z.enum(['add', 'change', 'remove']),
  /** Absent for what has no id yet. */
  id: z.string().optional(),
  spiffeId: z.string(),
  parentId: z.string(),
  selectors: z.array(z.string()),
  /** Of a change: the members that differ. */
  fields: z.array(z.string()),
});
export type ImportChangeView = z.infer<typeof importChangeSchema>;

export const importResultSchema = z.object({
  /** `refused`: there are faults, and nothing was done. */
  outcome: z.enum(['applied', 'planned', 'refused']),
  faults: z.array(importFaultSchema),
  changes: z.array(importChangeSchema),
  unchanged: z.number(),
});
export type ImportResult = z.infer<typeof importResultSchema>;

export const importProgressSchema = z.object({ done: z.number(), of: z.number() });
/** How many changes are written, of how many. */
export type ImportProgress = z.infer<typeof importProgressSchema>;

/** A line of the answer to whoever accepts `application/x-ndjson`: progress, then what came of it. */
export const importLineSchema = z.union([
  z.object({ progress: importProgressSchema }),
  z.object({ result: importResultSchema }),
  z.object({ problem: problemSchema }),
]);
export type ImportLine = z.infer<typeof importLineSchema>;
