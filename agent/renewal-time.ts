/** When to renew: half of the life that is left, give or take a tenth, so that a fleet spreads out. */

import type { Random } from '../core/index.ts';

/** The wall time at which a certificate got at `nowMs` is renewed. */
export function renewAtMs(nowMs: number, notAfterMs: number, random: Random): number {
  const lifeMs = Math.max(0, notAfterMs - nowMs);
  const jitter = 1 + jitterShare * (2 * random.fraction() - 1);
  return nowMs + lifeMs * renewShare * jitter;
}

const renewShare = 0.5;
const jitterShare = 0.1;
