/** An authority: a key of the CA with its certificate, and where it stands in its life. */

import type { Certificate } from '../../pki/index.ts';

/** `root` is the trust anchor, in the bundle; `issuing` is signed by a root and signs SVIDs. */
export type AuthorityTier = 'root' | 'issuing';

/**
 * prepared (in the bundle, signs nothing) → published (the evidence says that enough of the fleet trusts
 * it) → active (signs) → draining (signs nothing, still trusted) → retired (out of the bundle, its key
 * destroyed). An issuing authority is never just prepared:
 * chains carry it, so nobody needs to have seen it before it signs.
 */
export type AuthorityState = 'prepared' | 'published' | 'active' | 'draining' | 'retired';

export interface Authority {
  /** Lower hexadecimal key id: the subject key identifier of its certificate. */
  readonly id: string;
  readonly tier: AuthorityTier;
  readonly state: AuthorityState;
  /** The root over an issuing authority. */
  readonly parentId?: string;
  readonly certificate: Certificate;
  /** What stands between an issuing authority and its root, nearest first: an upstream's chain. */
  readonly above?: readonly Certificate[];
  readonly preparedAtMs: number;
  /** Whose rotation it is: one that the CA began by itself it also goes on with by itself. */
  readonly isAutomatic?: true;
  /** When the first node was sent a bundle with it. */
  readonly pushedAtMs?: number;
  /** When each share of the fleet had acknowledged it, measured. */
  readonly arrivals?: readonly Arrival[];
  readonly publishedAtMs?: number;
  readonly activatedAtMs?: number;
  readonly retiredAtMs?: number;
  /** Its key is not to be relied on: whatever stands under it is made anew at once. */
  readonly taintedAtMs?: number;
  /** No leaf below it ends later than this; absent while there is none. */
  readonly lastLeafNotAfterMs?: number;
}

/** That this share of nodes and SDS subscribers had it at this time. */
export interface Arrival {
  readonly share: number;
  readonly atMs: number;
}

/** All authorities at one moment, and the bundle's sequence. Every change makes a new value. */
export interface AuthoritySet {
  readonly authorities: readonly Authority[];
  /** Grows with every change of the roots in the bundle (SPIFFE Trust Domain and Bundle §4.1.1). */
  readonly bundleSequence: bigint;
}

export const emptyAuthoritySet: AuthoritySet = { authorities: [], bundleSequence: 0n };
