/** Registration entries on the admin API. */

import { z } from 'zod';

/** Loose here on purpose: `ca/registry` parses the values and names every fault at once. */
export const createEntrySchema = z.strictObject({
  spiffeId: z.string(),
  /** A node SPIFFE ID, or an alias that several nodes share. */
  parentId: z.string(),
  selectors: z.array(z.string()),
  x509SvidTtlSeconds: z.number().int().positive().optional(),
  dnsNames: z.array(z.string()).optional(),
  hint: z.string().optional(),
  priority: z.number().int().optional(),
});
export type CreateEntry = z.infer<typeof createEntrySchema>;

export const entrySchema = z.object({
  id: z.string(),
  spiffeId: z.string(),
  parentId: z.string(),
  selectors: z.array(z.string()),
  x509SvidTtlSeconds: z.number().optional(),
  dnsNames: z.array(z.string()),
  hint: z.string(),
  priority: z.number(),
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
