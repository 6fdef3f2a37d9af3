/** Identity rules on the admin API: a template that gives nodes identities from what they proved. */

import { z } from 'zod';

export const createRuleSchema = z.strictObject({
  /** Such as `spiffe://{td}/host/{x509pop.cn}`. */
  template: z.string(),
  /** What a workload must be; all must hold. */
  selectors: z.array(z.string()),
  /** What a node must have proved; all must hold. */
  nodeSelectors: z.array(z.string()).optional(),
  x509SvidTtlSeconds: z.number().int().positive().optional(),
  hint: z.string().optional(),
  priority: z.number().int().optional(),
});
export type CreateRule = z.infer<typeof createRuleSchema>;

export const ruleSchema = z.object({
  id: z.string(),
  template: z.string(),
  selectors: z.array(z.string()),
  nodeSelectors: z.array(z.string()),
  x509SvidTtlSeconds: z.number().optional(),
  hint: z.string(),
  priority: z.number(),
  createdAt: z.string(),
});
export type RuleView = z.infer<typeof ruleSchema>;

export const ruleListSchema = z.object({
  rules: z.array(ruleSchema),
  next: z.string().optional(),
});
export type RuleList = z.infer<typeof ruleListSchema>;

export const ruleIdentitySchema = z.object({
  nodeId: z.string(),
  /** The identity the rule gives on this node; absent if it gives none. */
  spiffeId: z.string().optional(),
  /** Why it gives none. */
  reason: z.string().optional(),
});
export type RuleIdentityView = z.infer<typeof ruleIdentitySchema>;

export const ruleIdentityListSchema = z.object({
  identities: z.array(ruleIdentitySchema),
  next: z.string().optional(),
});
export type RuleIdentityList = z.infer<typeof ruleIdentityListSchema>;
