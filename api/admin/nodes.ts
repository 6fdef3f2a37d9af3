/** Join tokens and attested nodes on the admin API. */

import { z } from 'zod';

export const createTokenSchema = z.strictObject({
  ttlSeconds: z.number().int().positive().max(604_800).optional(),
  /** A SPIFFE ID that entries may name as their parent instead of the node's own. */
  alias: z.string().optional(),
});
export type CreateToken = z.infer<typeof createTokenSchema>;

export const tokenSchema = z.object({
  /** What it is called once its text is gone: the part before the dot, which is no secret. */
  id: z.string(),
  /** Shown once; the CA keeps only its hash. */
  token: z.string(),
  spiffeId: z.string(),
  expiresAt: z.string(),
  /** SHA-256 of the active root's DER, hex: what the agent pins until it has the bundle. */
  rootSha256: z.string(),
});
export type TokenView = z.infer<typeof tokenSchema>;

/** A token as the CA knows it, which is never its text. */
export const knownTokenSchema = z.object({
  id: z.string(),
  /** Of the node that joins, or has joined, with it. */
  spiffeId: z.string(),
  alias: z.string().optional(),
  createdAt: z.string(),
  expiresAt: z.string(),
  /** `ended`: nobody used it in time. */
  state: z.enum(['unused', 'used', 'ended']),
  usedAt: z.string().optional(),
});
export type KnownTokenView = z.infer<typeof knownTokenSchema>;

export const tokenListSchema = z.object({
  tokens: z.array(knownTokenSchema),
  /** Give it as `after` to get the next page; absent on the last one. */
  next: z.string().optional(),
});
export type TokenList = z.infer<typeof tokenListSchema>;

export const nodeSchema = z.object({
  spiffeId: z.string(),
  attestor: z.string(),
  selectors: z.array(z.string()),
  attestedAt: z.string(),
  svidSerial: z.string(),
  svidExpiresAt: z.string(),
  connected: z.boolean(),
  appliedRevision: z.number(),
  agentVersion: z.string(),
  /** Absent unless the node is shut out until an operator lets it in again. */
  banned: z.object({ at: z.string(), reason: z.string() }).optional(),
});
export type NodeView = z.infer<typeof nodeSchema>;

export const nodeListSchema = z.object({
  nodes: z.array(nodeSchema),
  revision: z.number(),
  /** Give it as `after` to get the next page; absent on the last one. */
  next: z.string().optional(),
});
export type NodeList = z.infer<typeof nodeListSchema>;

/** For the record: why the node is evicted or banned. */
export const nodeReasonSchema = z.strictObject({ reason: z.string().max(256).exactOptional() });
export type NodeReason = z.infer<typeof nodeReasonSchema>;

export const pruneNodesSchema = z.strictObject({
  /** Forgets nodes whose certificate ended at least so long ago. */
  expiredForSeconds: z.number().int().nonnegative(),
});
export type PruneNodes = z.infer<typeof pruneNodesSchema>;

export const prunedNodesSchema = z.object({ spiffeIds: z.array(z.string()) });
export type PrunedNodes = z.infer<typeof prunedNodesSchema>;
