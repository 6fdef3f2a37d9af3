/** When to renew, and how long to wait between tries: always within the life that is left. */

import type { Random } from '../core/index.ts';

/**
 * The wall time at which a certificate got at `nowMs` is renewed: half of the life that is left, give or
 * take a tenth, so that a fleet spreads out.
 */
export function renewAtMs(nowMs: number, notAfterMs: number, random: Random): number {
  const lifeMs = Math.max(0, notAfterMs - nowMs);
  const jitter = 1 + jitterShare * (2 * random.fraction() - 1);
  return nowMs + lifeMs * renewShare * jitter;
}

/**
 * A wait between tries, cut so that a certificate with `leftMs` of life sees many more of them: near its
 * end it is tried again after each tenth of what is left. Nothing left leaves the wait as it is.
 */
export function cappedWaitMs(waitMs: number, leftMs: number): number {
  return leftMs <= 0 ? waitMs : Math.min(waitMs, Math.max(retryMsMin, leftMs * retryShare));
}

/**
 * How long to hold a renewal back when the CA returns from an outage, in which a whole fleet has become
 * due: somewhere in a window that leaves three quarters of the remaining life for further tries. What
 * has expired, or was never had, does not wait.
 */
export function smearMs(leftMs: number, random: Random): number {
  return leftMs <= 0 ? 0 : random.fraction() * Math.min(smearMsMax, leftMs * smearShare);
}

const renewShare = 0.5;
const jitterShare = 0.1;
const retryShare = 0.1;
// A CA under such load answers in less; sooner would be a loop.
const retryMsMin = 100;
const smearShare = 0.25;
// Ten thousand nodes over a minute are a load that one core signs with ease.
const smearMsMax = 60_000;
