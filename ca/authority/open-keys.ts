/** Opens the CA's keys: the JWT keys, whose public halves are in the bundle, then the authorities beside them. */

import type { Scope } from '../../core/index.ts';
import { type Authorities, type AuthoritiesDeps, openAuthorities } from './authorities.ts';
import type { Propagation, PushTimes } from './evidence.ts';
import { openJwtKeys, type RotatingJwtKeys } from './jwt-keys.ts';
import type { RotationPolicy } from './rotation-policy.ts';

export interface KeysDeps extends Omit<AuthoritiesDeps, 'jwtKeys' | 'rotation'> {
  readonly policy: RotationPolicy;
  /** How long a token lives at most. */
  readonly tokenMs: number;
  /** What nodes and their SDS clients have acknowledged. */
  readonly connected: {
    propagationOf(rootId: string): Propagation;
    pushTimesOf(rootId: string): PushTimes | undefined;
    nodesOf(kid: string): Propagation;
  };
}

/** What was opened is closed with `scope`. */
export async function openKeys(
  { policy, tokenMs, connected, ...deps }: KeysDeps,
  scope: Scope,
): Promise<{ readonly jwtKeys: RotatingJwtKeys; readonly authorities: Authorities }> {
  const jwtKeys = scope.add(
    await openJwtKeys({
      ...deps,
      lifeMs: deps.lifetimes.issuingMs,
      tokenMs,
      policy,
      propagationOf: (kid) => connected.nodesOf(kid),
    }),
  );
  const authorities = scope.add(
    await openAuthorities({
      ...deps,
      jwtKeys: jwtKeys.published,
      rotation: {
        policy,
        propagationOf: (id) => connected.propagationOf(id),
        pushTimesOf: (id) => connected.pushTimesOf(id),
      },
    }),
  );
  return { jwtKeys, authorities };
}
