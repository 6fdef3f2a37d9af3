/** The bundles of other trust domains on the admin API. */

import { z } from 'zod';
import type { AdminCaller } from './registry-client.ts';

export const setFederatedBundleSchema = z.strictObject({
  /** A SPIFFE bundle document, or PEM certificates. */
  document: z.string().min(1),
  /** Takes an older sequence, and a bundle without any authority. */
  force: z.boolean().optional(),
});

export const federatedBundleSchema = z.object({
  trustDomain: z.string(),
  /** 64 bits, so a text. */
  sequence: z.string(),
  x509Authorities: z.number(),
  jwtAuthorities: z.number(),
  /** Of the document that is passed on. */
  sha256: z.string(),
  setAt: z.string(),
});
export type FederatedBundleView = z.infer<typeof federatedBundleSchema>;

export const federatedBundleListSchema = z.object({ bundles: z.array(federatedBundleSchema) });
export type FederatedBundleList = z.infer<typeof federatedBundleListSchema>;

export interface FederatedBundlesClient {
  listFederatedBundles(): Promise<FederatedBundleList>;
  /** The document as text. */
  federatedBundle(trustDomain: string): Promise<string>;
  setFederatedBundle(
    trustDomain: string,
    document: string,
    force?: boolean,
  ): Promise<FederatedBundleView>;
  deleteFederatedBundle(trustDomain: string): Promise<FederatedBundleView>;
}

export function federatedBundlesClient(
  call: AdminCaller,
  get: (path: string) => Promise<string>,
): FederatedBundlesClient {
  const base = '/v1/federated-bundles';
  const pathOf = (trustDomain: string): string => `${base}/${encodeURIComponent(trustDomain)}`;
  return {
    listFederatedBundles: () => call('GET', base, federatedBundleListSchema),
    federatedBundle: (trustDomain) => get(pathOf(trustDomain)),
    setFederatedBundle: (trustDomain, document, force = false) =>
      call('PUT', pathOf(trustDomain), federatedBundleSchema, { document, force }),
    deleteFederatedBundle: (trustDomain) =>
      call('DELETE', pathOf(trustDomain), federatedBundleSchema),
  };
}
