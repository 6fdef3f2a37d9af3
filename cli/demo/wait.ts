/** Waiting for a condition, with a bound and a reason when it does not come. */

import { CodedError, sleep, systemClock } from '../../core/index.ts';

export class DemoError extends CodedError<'demo_failed'> {
  override readonly name = 'DemoError';
  override readonly kind = 'internal';
}

/** Asks `probe` until it answers; a throw counts as "not yet". Throws {@link DemoError} after `limitMs`. */
export async function waitFor<T>(
  what: string,
  limitMs: number,
  probe: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const end = systemClock.monotonicMs() + limitMs;
  let last: unknown;
  while (systemClock.monotonicMs() < end) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    await sleep(systemClock, pollMs);
  }
  throw new DemoError('demo_failed', `${what} did not happen within ${limitMs / 1000} s`, {
    cause: last,
  });
}

const pollMs = 50;
