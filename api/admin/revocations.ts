/** Revocations on the admin API. */

import { z } from 'zod';
import { pageQuerySchema } from './operation.ts';

const reasonSchema = z.enum([
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
  'aACompromise',
]);

export const revokeSchema = z
  .strictObject({
    /** Hexadecimal, with or without colons: one certificate. */
    serial: z
      .string()
      .regex(/^(?:0x)?[0-9A-Fa-f:]{1,64}$/)
      .optional(),
    /** Every living certificate of this SPIFFE ID. */
    spiffeId: z.string().max(2048).optional(),
    /** Every living certificate that was issued to this node or to a workload on it; the node is evicted. */
    node: z.string().max(2048).optional(),
    /** Every living certificate that the issuing authority with this key id signed. */
    issuer: z
      .string()
      .regex(/^[0-9a-f]{1,64}$/)
      .optional(),
    /** As RFC 5280 §5.3.1 names them. Default `unspecified`. */
    reason: reasonSchema.optional(),
    /** Issue nothing for the SPIFFE ID or the node until it is lifted. */
    block: z.boolean().optional(),
  })
  .refine(
    ({ serial, spiffeId, node, issuer }) =>
      [serial, spiffeId, node, issuer].filter((each) => each !== undefined).length === 1,
    { message: 'say exactly one of serial, spiffeId, node and issuer' },
  );
export type Revoke = z.infer<typeof revokeSchema>;

export const revocationSchema = z.object({
  serial: z.string(),
  spiffeId: z.string(),
  /** The node that had asked for the certificate. */
  node: z.string().optional(),
  issuerKeyId: z.string(),
  /** The certificate's own end; after it nobody needs to be told. */
  notAfter: z.string(),
  reason: z.string(),
  revokedAt: z.string(),
  actor: z.string(),
});
export type RevocationView = z.infer<typeof revocationSchema>;

export const blockSchema = z.object({
  spiffeId: z.string(),
  reason: z.string(),
  blockedAt: z.string(),
  actor: z.string(),
});

export const revokedSchema = z.object({
  /** What this call revoked. */
  revoked: z.array(revocationSchema),
  /** What it names and was revoked before. */
  before: z.array(revocationSchema),
  block: blockSchema.optional(),
});
export type RevokedView = z.infer<typeof revokedSchema>;

export const revocationPageSchema = pageQuerySchema.extend({
  after: z
    .string()
    .regex(/^\d{1,16}\.[0-9a-f]{1,64}$/, { message: 'give the next of the page before' })
    .optional(),
});

export const revocationListSchema = z.object({
  /** The newest first. */
  revocations: z.array(revocationSchema),
  /** Give it as `after` to get the next page; absent on the last one. */
  next: z.string().optional(),
  /** With what follows: whole on the first page, and empty on those after it. */
  blocks: z.array(blockSchema),
  /** The signed list of each issuing authority, PEM. */
  crls: z.array(z.string()),
  /** How long the newest pushes took from the call of the operator, in milliseconds. */
  times: z.object({
    pushes: z.number(),
    lastPushMs: z.number(),
    applications: z.number(),
    lastAppliedMs: z.number(),
  }),
});
export type RevocationList = z.infer<typeof revocationListSchema>;

export const unblockSchema = z.strictObject({ spiffeId: z.string().max(2048) });
export const unblockedSchema = z.object({ spiffeId: z.string(), wasBlocked: z.boolean() });
export type UnblockedView = z.infer<typeof unblockedSchema>;
