/** An authority: a key of the CA with its certificate, and where it stands in its life. */

import type { Certificate } from '../../pki/index.ts';

/** `root` is the trust anchor, in the bundle; `issuing` is signed by a root and signs SVIDs. */
export type AuthorityTier = 'root' | 'issuing';

/**
 * prepared (in the bundle, signs nothing) → active (signs) → draining (signs nothing, still trusted)
 * → retired (out of the bundle, its key destroyed). An issuing authority is never just prepared:
 * chains carry it, so nobody needs to have seen it before it signs.
 */
export type AuthorityState = 'prepared' | 'active' | 'draining' | 'retired';

export interface Authority {
  /** Lower hexadecimal key id: the subject key identifier of its certificate. */
  readonly id: string;
  readonly tier: AuthorityTier;
  readonly state: AuthorityState;
  /** The root over an issuing authority. */
  readonly parentId?: string;
  readonly certificate: Certificate;
  readonly preparedAtMs: number;
  readonly activatedAtMs?: number;
  readonly retiredAtMs?: number;
  /** No leaf below it ends later than this; absent while there is none. */
  readonly lastLeafNotAfterMs?: number;
}

/** All authorities at one moment, and the bundle's sequence. Every change makes a new value. */
export interface AuthoritySet {
  readonly authorities: readonly Authority[];
  /** Grows with every change of the roots in the bundle (SPIFFE Trust Domain and Bundle §4.1.1). */
  readonly bundleSequence: bigint;
}

export const emptyAuthoritySet: AuthoritySet = { authorities: [], bundleSequence: 0n };
