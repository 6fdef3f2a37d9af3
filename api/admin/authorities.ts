/** Signing authorities on the admin API. */

import { z } from 'zod';

export const authoritySchema = z.object({
  /** The key id, hex: the subject key identifier of its certificate, or the `kid` of its tokens. */
  id: z.string(),
  tier: z.enum(['root', 'issuing', 'jwt']),
  state: z.enum(['prepared', 'published', 'active', 'draining', 'retired']),
  /** The root over an issuing authority. */
  parentId: z.string().optional(),
  /** Of its certificate; a JWT key has none. */
  serial: z.string().optional(),
  notBefore: z.string(),
  notAfter: z.string(),
  preparedAt: z.string(),
  publishedAt: z.string().optional(),
  activatedAt: z.string().optional(),
  /** Its key is not to be relied on: whatever stands under it is being made anew. */
  taintedAt: z.string().optional(),
  /** When the first node was sent a bundle with it. */
  pushedAt: z.string().optional(),
  /** When the last certificate, or token, issued below it ends; it can be retired after that. */
  lastLeafNotAfter: z.string().optional(),
  /** For a root or a JWT key that is in the bundle: how far the bundle with it has got. */
  propagation: z
    .object({
      nodes: z.number(),
      nodesApplied: z.number(),
      subscribers: z.number(),
      acknowledged: z.number(),
      /** The mean of the nodes' own shares of sidecars, by which steps are judged; absent where none has any. */
      sidecarShare: z.number().optional(),
    })
    .optional(),
});
export type AuthorityView = z.infer<typeof authoritySchema>;

export const authorityListSchema = z.object({ authorities: z.array(authoritySchema) });
export type AuthorityList = z.infer<typeof authorityListSchema>;

export const prepareAuthoritySchema = z.strictObject({
  /** What to make: a root, unless it says otherwise. */
  tier: z.enum(['root', 'jwt']).optional(),
});
export type PrepareAuthority = z.infer<typeof prepareAuthoritySchema>;

export const changeAuthoritySchema = z.strictObject({
  /** Goes on although the evidence says that somebody would be stranded; it is written into the audit log. */
  force: z.boolean().optional(),
});
export type ChangeAuthority = z.infer<typeof changeAuthoritySchema>;

/** One step of a rotation of the root or of the JWT key: done, possible now, or safe from a time on as far as it is known. */
export const planStepSchema = z.object({
  step: z.enum(['prepare', 'publish', 'activate', 'retire']),
  state: z.enum(['done', 'ready', 'waiting', 'blocked']),
  /** The root or JWT key it is about; absent while there is none yet. */
  authorityId: z.string().optional(),
  /** When it was done, or when it is safe. */
  at: z.string().optional(),
  /** Whether `at` was measured or is an estimate from measurements. */
  isEstimate: z.boolean(),
  reason: z.string(),
});
export type PlanStep = z.infer<typeof planStepSchema>;

export const rotationPlanSchema = z.object({
  now: z.string(),
  activeRootId: z.string(),
  threshold: z.number(),
  /** When publication is overdue; absent while nothing is being published. */
  deadlineAt: z.string().optional(),
  automatic: z.boolean(),
  steps: z.array(planStepSchema),
  /** How long each share of the fleet took to acknowledge the newest root that was measured. */
  arrivals: z.array(z.object({ share: z.number(), afterMs: z.number() })),
  /** The same for the key that signs JWT-SVIDs; a CA of before this was planned tells none. */
  jwt: z.object({ steps: z.array(planStepSchema), deadlineAt: z.string().optional() }).optional(),
});
export type RotationPlan = z.infer<typeof rotationPlanSchema>;
