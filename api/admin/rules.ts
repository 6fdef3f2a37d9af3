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
  jwtSvidTtlSeconds: z.number().int().positive().optional(),
  /** Such as `{x509pop.cn}.hosts.mesh.test`; what the node proved fills them, never an agent's word. */
  dnsNames: z.array(z.string()).optional(),
  federatesWith: z.array(z.string()).optional(),
  hint: z.string().optional(),
  priority: z.number().int().optional(),
  /**
   * By type of selector, who may say the facts of the template: `node`, by what it proved (the default), or
   * `agent`, by attesting each workload of its own node.
   */
  trust: z.record(z.string(), z.enum(['node', 'agent'])).optional(),
});
export type CreateRule = z.infer<typeof createRuleSchema>;

export const ruleSchema = z.object({
  id: z.string(),
  template: z.string(),
  selectors: z.array(z.string()),
  nodeSelectors: z.array(z.string()),
  x509SvidTtlSeconds: z.number().optional(),
  jwtSvidTtlSeconds: z.number().optional(),
  dnsNames: z.array(z.string()),
  federatesWith: z.array(z.string()),
  hint: z.string(),
  priority: z.number(),
  trust: z.record(z.string(), z.enum(['node', 'agent'])),
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
  /** The identities it gives there, with a placeholder for each fact that a workload brings. */
  pattern: z.string().optional(),
  /** Why it gives none. */
  reason: z.string().optional(),
});
export type RuleIdentityView = z.infer<typeof ruleIdentitySchema>;

export const ruleIdentityListSchema = z.object({
  identities: z.array(ruleIdentitySchema),
  next: z.string().optional(),
});
export type RuleIdentityList = z.infer<typeof ruleIdentityListSchema>;
