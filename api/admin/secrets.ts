/** Named secrets on the admin API. Values go in and never come out: no answer has a place for one. */

import { z } from 'zod';
import type { AdminCaller, PageOf } from './registry-client.ts';

export const putSecretSchema = z.strictObject({
  /** SPIFFE IDs in full, or `spiffe://<trust domain>/*`. Absent: as before. */
  allow: z.array(z.string().max(2048)).min(1).max(64).optional(),
  /** Base64, by name; one plain value under the empty name. Absent: only `allow` changes. */
  values: z.record(z.string().max(128), z.base64().max(87_384)).optional(),
});
export type PutSecret = z.infer<typeof putSecretSchema>;

const secretVersionSchema = z.object({
  version: z.number(),
  createdAt: z.string(),
  by: z.string(),
  values: z.array(z.object({ name: z.string(), bytes: z.number() })),
});

export const secretSchema = z.object({
  name: z.string(),
  allow: z.array(z.string()),
  /** What workloads are given now. */
  version: z.number(),
  /** Newest first: those that are kept. */
  versions: z.array(secretVersionSchema),
});
export type SecretView = z.infer<typeof secretSchema>;

export const secretListSchema = z.object({
  secrets: z.array(secretSchema),
  next: z.string().optional(),
});
export type SecretList = z.infer<typeof secretListSchema>;

export interface SecretsClient {
  putSecret(name: string, secret: PutSecret): Promise<SecretView>;
  getSecret(name: string): Promise<SecretView>;
  listSecrets(page: PageOf): Promise<SecretList>;
  deleteSecret(name: string): Promise<SecretView>;
}

export function secretsClient(call: AdminCaller): SecretsClient {
  const path = (name: string): string => `/v1/secrets/${encodeURIComponent(name)}`;
  return {
    putSecret: (name, secret) => call('PUT', path(name), secretSchema, secret),
    getSecret: (name) => call('GET', path(name), secretSchema),
    listSecrets: ({ after, limit }) => {
      const search = new URLSearchParams();
      if (after !== undefined) search.set('after', after);
      if (limit !== undefined) search.set('limit', String(limit));
      const query = search.toString();
      return call('GET', `/v1/secrets${query === '' ? '' : `?${query}`}`, secretListSchema);
    },
    deleteSecret: (name) => call('DELETE', path(name), secretSchema),
  };
}
