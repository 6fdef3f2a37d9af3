/** Signing authorities on the admin API. */

import { z } from 'zod';

export const authoritySchema = z.object({
  /** The key id, hex: the subject key identifier of its certificate. */
  id: z.string(),
  tier: z.enum(['root', 'issuing']),
  state: z.enum(['prepared', 'active', 'draining', 'retired']),
  /** The root over an issuing authority. */
  parentId: z.string().optional(),
  serial: z.string(),
  notBefore: z.string(),
  notAfter: z.string(),
  preparedAt: z.string(),
  activatedAt: z.string().optional(),
  /** When the last certificate issued below it ends; it can be retired after that. */
  lastLeafNotAfter: z.string().optional(),
  /** For a root that is in the bundle: how far the bundle with it has got. */
  propagation: z
    .object({
      nodes: z.number(),
      nodesApplied: z.number(),
      subscribers: z.number(),
      acknowledged: z.number(),
    })
    .optional(),
});
export type AuthorityView = z.infer<typeof authoritySchema>;

export const authorityListSchema = z.object({ authorities: z.array(authoritySchema) });
export type AuthorityList = z.infer<typeof authorityListSchema>;

export const changeAuthoritySchema = z.strictObject({
  /** Goes on although the evidence says that somebody would be stranded; it is written into the audit log. */
  force: z.boolean().optional(),
});
export type ChangeAuthority = z.infer<typeof changeAuthoritySchema>;
