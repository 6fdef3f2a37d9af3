/** A bundle: the authorities of one trust domain, numbered so that a newer one is known by its sequence. */

import type { KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/index.ts';
import type { TrustDomain } from './trust-domain.ts';

export interface JwtAuthority {
  readonly keyId: string;
  readonly publicKey: KeyObject;
}

export interface Bundle {
  readonly trustDomain: TrustDomain;
  /** Grows with every change; 64 bits (B-2). Zero where the document gave none. */
  readonly sequence: bigint;
  /** How often readers should look again. */
  readonly refreshHintSeconds?: number;
  readonly x509Authorities: readonly Certificate[];
  readonly jwtAuthorities: readonly JwtAuthority[];
}

/** Bundles by trust domain, never pooled. */
export type BundleSet = ReadonlyMap<TrustDomain, Bundle>;

export function bundleSetOf(bundles: Iterable<Bundle>): BundleSet {
  return new Map(Array.from(bundles, (bundle) => [bundle.trustDomain, bundle] as const));
}
