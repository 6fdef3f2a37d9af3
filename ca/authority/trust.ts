/** What peers are told of the authorities: the bundle, and which root signs now. */

import { type Bundle, formatBundle, type TrustDomain } from '../../spiffe/index.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import type { PublishedJwtKeys } from './jwt-keys.ts';
import { taintedKeyIds, trustedRoots } from './slot.ts';

export interface Trust {
  readonly bundle: Bundle;
  /** The bundle as a SPIFFE JWKS document. */
  readonly bundleDocument: string;
  readonly activeRoot: Authority;
  /** Key ids, of JWT keys too, under which nothing may go on standing. */
  readonly taintedKeyIds: readonly string[];
  /** The store's revision since which it is so. */
  readonly revision: number;
}

export function trustOf(p: {
  readonly set: AuthoritySet;
  readonly activeRoot: Authority;
  readonly trustDomain: TrustDomain;
  readonly revision: number;
  readonly jwtKeys: PublishedJwtKeys | undefined;
}): Trust {
  const { set, activeRoot, trustDomain, jwtKeys } = p;
  const revision = Math.max(p.revision, jwtKeys?.revision ?? 0);
  const bundle: Bundle = {
    trustDomain,
    // Each of the two only grows, and with every change of its own: so does their sum (B-2).
    sequence: set.bundleSequence + (jwtKeys?.sequence ?? 0n),
    refreshHintSeconds,
    x509Authorities: trustedRoots(set).map(({ certificate }) => certificate),
    jwtAuthorities: jwtKeys?.authorities ?? [],
  };
  return {
    bundle,
    bundleDocument: formatBundle(bundle),
    activeRoot,
    taintedKeyIds: [...taintedKeyIds(set), ...(jwtKeys?.taintedIds ?? [])],
    revision,
  };
}

// SPIFFE Trust Domain and Bundle §4.1.2. Agents are pushed to; this is for whoever polls.
const refreshHintSeconds = 300;
