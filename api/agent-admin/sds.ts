/** The SDS clients of an agent on its admin API: who they are, what they were sent and what they made of it. */

import { z } from 'zod';

/** One secret that a stream has asked for, under the name that it asked by. Never its content. */
export const clientSecretSchema = z.object({
  name: z.string(),
  /** The content hash that was sent. */
  version: z.string(),
  state: z.enum(['sent', 'acknowledged', 'refused']),
  /** The client's own words, bounded. */
  error: z.string().optional(),
  since: z.string(),
});

/** What the agent would give to this caller now, without the keys. */
export const offeredSchema = z.object({
  svids: z.array(
    z.object({
      spiffeId: z.string(),
      isDefault: z.boolean(),
      /** Absent while there is no certificate. */
      serial: z.string().optional(),
      notAfter: z.string().optional(),
      rootKeyId: z.string().optional(),
    }),
  ),
  bundles: z.array(
    z.object({ trustDomain: z.string(), rootKeyIds: z.array(z.string()), crls: z.number() }),
  ),
});
export type OfferedView = z.infer<typeof offeredSchema>;

export const sdsClientSchema = z.object({
  streamId: z.string(),
  connection: z.string(),
  /** Of a client on this machine. */
  pid: z.number().optional(),
  uid: z.number().optional(),
  executable: z.string().optional(),
  /** Its identities, the default first; of a client over TLS, who its certificate says it is. */
  spiffeIds: z.array(z.string()),
  secrets: z.array(clientSecretSchema),
  /** Names that it asked for and that nothing was sent for: not ready, unknown, or another's. */
  waiting: z.array(z.string()),
  offered: offeredSchema.optional(),
});
export type SdsClientView = z.infer<typeof sdsClientSchema>;

export const sdsClientsSchema = z.object({
  /** All there are; the list has at most ten thousand. */
  total: z.number(),
  clients: z.array(sdsClientSchema),
});
export type SdsClientsView = z.infer<typeof sdsClientsSchema>;

/** One line of `/v1/sds/watch`. Those that are there already come first, as `opened`. */
export const sdsEventSchema = z.object({
  at: z.string(),
  kind: z.enum(['opened', 'changed', 'closed']),
  client: sdsClientSchema,
});
export type SdsEventView = z.infer<typeof sdsEventSchema>;

/** Without a name: everything that each stream has asked for. */
export const resendSchema = z.strictObject({ name: z.string().min(1).max(2048).optional() });
export const resentSchema = z.object({ streams: z.number() });
