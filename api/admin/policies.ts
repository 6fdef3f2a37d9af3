/** The issuance policy and JWT-SVIDs for operators, on the admin API. */

import { z } from 'zod';

const effectSchema = z.enum(['deny', 'allow']);

export const policySchema = z.object({
  /** Whether a policy is configured at all; without one everything that the registry grants is issued. */
  configured: z.boolean(),
  file: z.string().optional(),
  sha256: z.string().optional(),
  /** What happens where no rule speaks. */
  default: effectSchema,
  rules: z.array(z.object({ name: z.string(), effect: effectSchema, reason: z.string() })),
  loadedAt: z.string().optional(),
});
export type PolicyView = z.infer<typeof policySchema>;

/** A request as it might be made: nothing is issued, and nothing but the verdict comes back. */
export const explainPolicySchema = z.strictObject({
  entryId: z.string().min(1).max(128),
  /** The node that would ask; absent: facts about the node are empty. */
  nodeId: z.string().max(2048).optional(),
  kind: z.enum(['x509', 'jwt']).optional(),
  /** Absent: what the entry, or the CA's default, gives. */
  ttlSeconds: z.number().int().positive().max(315_360_000).optional(),
  /** Such as `ec-p256`, which is also the default; a JWT-SVID has none. */
  keyType: z.string().max(32).optional(),
  audience: z.array(z.string().max(2048)).max(8).optional(),
  /** RFC 3339; absent: now. */
  at: z.iso.datetime({ offset: true }).optional(),
});
export type ExplainPolicy = z.infer<typeof explainPolicySchema>;

export const verdictSchema = z.object({
  verdict: effectSchema,
  /** The rule that decides, or `default`. */
  rule: z.string(),
  reason: z.string(),
});
export type VerdictView = z.infer<typeof verdictSchema>;

export const mintJwtSchema = z.strictObject({
  entryId: z.string().min(1).max(128),
  audience: z.array(z.string().max(2048)).min(1).max(8),
  ttlSeconds: z.number().int().positive().max(315_360_000).optional(),
});
export type MintJwt = z.infer<typeof mintJwtSchema>;

export const mintedJwtSchema = z.object({
  /** JWS compact serialization: whoever has it is the workload, until it ends. */
  token: z.string(),
  spiffeId: z.string(),
  jti: z.string(),
  expiresAt: z.string(),
});
export type MintedJwtView = z.infer<typeof mintedJwtSchema>;
