/** An agent at a glance, on its admin API: the node, its link to the CA, what it holds and who asks it. */

import { z } from 'zod';

/** A certificate that the agent holds for an entry; its key is nowhere in an answer. */
export const heldSvidSchema = z.object({
  entryId: z.string(),
  spiffeId: z.string(),
  /** Given by a rule, from what the agent attested of a workload. */
  isDerived: z.boolean(),
  serial: z.string(),
  notBefore: z.string(),
  notAfter: z.string(),
  /** When the agent asks for the next one. */
  renewAt: z.string(),
  rootKeyId: z.string(),
});
export type HeldSvidView = z.infer<typeof heldSvidSchema>;

/** The newest answer of the CA that was no certificate. */
export const svidRefusalSchema = z.object({
  at: z.string(),
  /** The CA's own word; absent where the agent did not take what the CA sent. */
  code: z.string().optional(),
  reason: z.string(),
  failures: z.number(),
  nextTryInMs: z.number(),
});
export type SvidRefusalView = z.infer<typeof svidRefusalSchema>;

const happenedSchema = z.object({ at: z.string(), reason: z.string() });

export const attestorSchema = z.object({
  name: z.string(),
  failing: z.boolean(),
  failureCount: z.number(),
  lastSuccess: z.string().optional(),
  lastFailure: happenedSchema.optional(),
  lastRefusal: happenedSchema.optional(),
});
export type AttestorView = z.infer<typeof attestorSchema>;

/**
 * `joining` until the node is attested; `refused` for good; `turned_away` while its certificate has ended and it
 * is not attested again; else whether the Sync stream is open.
 */
export const linkStates = ['joining', 'connected', 'away', 'turned_away', 'refused'] as const;

export const agentStatusSchema = z.object({
  trustDomain: z.string(),
  version: z.string(),
  startedAt: z.string(),
  now: z.string(),
  socket: z.string(),
  ca: z.object({
    address: z.string(),
    state: z.enum(linkStates),
    since: z.string(),
    /** Why it is not connected, where that is known. */
    reason: z.string().optional(),
  }),
  /** Absent until the node is attested. */
  node: z
    .object({
      spiffeId: z.string(),
      serial: z.string(),
      notAfter: z.string(),
      renewAt: z.string(),
      rootKeyId: z.string(),
    })
    .optional(),
  /** What the CA pushed last and the agent applied; absent until it has. */
  revision: z.number().optional(),
  activeRootKeyId: z.string(),
  ready: z.boolean(),
  /** Why not; empty when it is. */
  reasons: z.array(z.string()),
  /** Until when every identity can be served without the CA; absent where nothing is held. */
  survivesUntil: z.string().optional(),
  /** The sealed copy on the disk that a restart can go on from; absent where the config has none. */
  cache: z
    .looseObject({
      kind: z.enum(['on', 'off']),
      reason: z.string().optional(),
      path: z.string().optional(),
      keyPlace: z.string().optional(),
      /** Why the newest write failed. */
      failure: z.string().optional(),
    })
    .optional(),
  entryCount: z.number(),
  svidCount: z.number(),
  /** Those that end first come first; at most a thousand. */
  svids: z.array(heldSvidSchema),
  /** Entries without a certificate; at most a thousand. */
  missing: z.array(
    z.object({
      entryId: z.string(),
      spiffeId: z.string(),
      refusal: svidRefusalSchema.optional(),
    }),
  ),
  attestors: z.array(attestorSchema),
  sds: z.object({
    streams: z.number(),
    acknowledged: z.number(),
    waiting: z.number(),
    refused: z.number(),
  }),
});
export type AgentStatusView = z.infer<typeof agentStatusSchema>;
