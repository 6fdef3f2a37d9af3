/** Why a process has the identities that it has, or none: `signet explain` on an agent's admin API. */

import { z } from 'zod';
import { heldSvidSchema, linkStates, svidRefusalSchema } from './status.ts';

/** What a certificate's life is made of, and what it came to. */
export const lifeSchema = z.object({
  /** What the entry asks for; absent where the CA does not say. */
  askedMs: z.number().optional(),
  issuedMs: z.number(),
  leftMs: z.number(),
  /** The end of the authority that signed it. */
  issuerNotAfter: z.string().optional(),
  /** `issuer`: it would have outlived its issuer; `entry`: its entry's end; `none`: as long as asked. */
  cappedBy: z.string(),
});
export type LifeView = z.infer<typeof lifeSchema>;

/**
 * What became of an entry that matched. The policy stands on the CA: `issued` says that it allowed the
 * certificate that is held, `refused` is its newest answer, `unasked` that it has not been asked.
 */
export const verdicts = ['issued', 'refused', 'unasked'] as const;

export const matchedEntrySchema = z.object({
  entryId: z.string(),
  spiffeId: z.string(),
  hint: z.string(),
  isDefault: z.boolean(),
  isDerived: z.boolean(),
  /** All of the workload's selectors that it asks for. */
  selectors: z.array(z.string()),
  verdict: z.enum(verdicts),
  refusal: svidRefusalSchema.optional(),
  svid: heldSvidSchema.optional(),
  life: lifeSchema.optional(),
});
export type MatchedEntryView = z.infer<typeof matchedEntrySchema>;

export const nearMissSchema = z.object({
  entryId: z.string(),
  spiffeId: z.string(),
  present: z.array(z.string()),
  lacking: z.array(z.string()),
  /** Attestors that failed or do not run here, and could have said what lacks. */
  because: z.array(z.string()),
});
export type NearMissView = z.infer<typeof nearMissSchema>;

export const consideredRuleSchema = z.object({
  ruleId: z.string(),
  /** The identity, with a fact of the workload as `{type:name}`. */
  template: z.string(),
  /** What it gives; absent where it does not fit. */
  spiffeId: z.string().optional(),
  lacking: z.array(z.string()),
  /** Facts that say nothing, two things, or no path segment. */
  faults: z.array(z.string()),
});
export type ConsideredRuleView = z.infer<typeof consideredRuleSchema>;

export const explanationSchema = z.object({
  pid: z.number(),
  uid: z.number(),
  gid: z.number(),
  executable: z.string().optional(),
  attestors: z.array(
    z.object({
      name: z.string(),
      selectors: z.array(z.string()),
      /** Why it could not say; absent where it could. */
      failure: z.string().optional(),
      tookMs: z.number(),
    }),
  ),
  /** Kinds of selectors that nothing here asks for, and that were not looked for. */
  notSought: z.array(z.string()),
  ca: z.object({ state: z.enum(linkStates), since: z.string(), reason: z.string().optional() }),
  revision: z.number().optional(),
  entryCount: z.number(),
  matched: z.array(matchedEntrySchema),
  nearest: z.array(nearMissSchema),
  rules: z.array(consideredRuleSchema),
  /** Whether a workload call of this process is answered with a certificate now. */
  outcome: z.enum(['identity', 'no_identity']),
  /** In one sentence each, the weightiest first. */
  conclusions: z.array(z.string()),
});
export type ExplanationView = z.infer<typeof explanationSchema>;
