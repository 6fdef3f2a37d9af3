/** Exponential backoff with full jitter, as a pure function of the attempt. */

import type { Random } from './random.ts';

export interface BackoffPolicy {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * The wait before retry number `attempt` (0 is the first retry): between half and the whole of
 * `baseMs * 2^attempt`, never above `maxMs`. The random half keeps a fleet from retrying in step.
 */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: Random): number {
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(attempt, exponentMax));
  return ceiling / 2 + (ceiling / 2) * random.fraction();
}

// 2^30 times any base is above every sensible maximum; more would only lose precision.
const exponentMax = 30;
