/**
 * A guard against a clock that goes back: certificates dated before those already issued would outlive
 * what revoked them, and an authority's own dates would lie in the future.
 *
 * The highest wall time seen is kept in the store, in steps, so that a restart does not forget it. A
 * jump ahead is only told: a machine that slept has one. If the clock then returns to where it would
 * have been without that jump, the jump was the fault and its return is not.
 */

import { type Clock, CodedError, describeError, type Logger } from '../../core/index.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';

/** The clock says less than it said before. */
export class ClockError extends CodedError<'clock_backwards'> {
  override readonly name = 'ClockError';
  override readonly kind = 'unavailable';
}

export interface ClockGuard {
  /** The fault of the clock as it is now, or undefined. Ask before each issuance. */
  fault(): ClockError | undefined;
}

export interface ClockGuardDeps {
  readonly store: Pick<Store, 'get' | 'commit'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How far back the clock may go, and how far ahead before it is told. */
  readonly toleranceMs: number;
}

export async function openClockGuard(deps: ClockGuardDeps): Promise<ClockGuard> {
  const item = await deps.store.get(highKey);
  const durableMs = item === undefined ? 0 : Number(new TextDecoder().decode(item.value));
  return new WatchedClock(deps, Number.isSafeInteger(durableMs) ? durableMs : 0);
}

/** The same moment on both clocks: from it follows what the wall clock should say later. */
interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

class WatchedClock implements ClockGuard {
  readonly #deps: ClockGuardDeps;
  readonly #toleranceMs: number;
  #highMs: number;
  #durableMs: number;
  #last: Moment;
  /** Before a jump ahead that may turn out to be the fault. */
  #beforeJump: Moment | undefined;
  #isWrong = false;
  #isWriting = false;

  constructor(deps: ClockGuardDeps, durableMs: number) {
    this.#deps = deps;
    this.#toleranceMs = deps.toleranceMs;
    this.#highMs = durableMs;
    this.#durableMs = durableMs;
    this.#last = this.#now();
  }

  fault(): ClockError | undefined {
    const now = this.#now();
    this.#watchJumpAhead(now);
    this.#last = now;
    const backMs = this.#highMs - now.wallMs;
    if (backMs > this.#toleranceMs && !this.#hasReturned(now)) return this.#wrong(now, backMs);
    if (this.#isWrong) {
      this.#isWrong = false;
      this.#deps.log.warn('the clock is right again; certificates are issued', {
        now: timeText(now.wallMs),
      });
    }
    this.#highMs = Math.max(this.#highMs, now.wallMs);
    this.#remember();
    return undefined;
  }

  #wrong({ wallMs }: Moment, backMs: number): ClockError {
    const message =
      `the clock says ${timeText(wallMs)}, yet it has said ${timeText(this.#highMs)} before: ` +
      `${Math.round(backMs)} ms back`;
    if (!this.#isWrong) this.#deps.log.error('no certificates are issued', { reason: message });
    this.#isWrong = true;
    return new ClockError('clock_backwards', message, {
      remedy: "set the CA's clock; it issues again as soon as the time is right",
      retryAfterMs: Math.min(backMs, retryMsMax),
    });
  }

  #watchJumpAhead(now: Moment): void {
    const expectedMs = this.#expected(this.#last, now);
    const aheadMs = now.wallMs - expectedMs;
    if (aheadMs <= this.#toleranceMs) return;
    this.#beforeJump = this.#last;
    this.#deps.log.warn('the clock has jumped ahead', {
      from: timeText(expectedMs),
      to: timeText(now.wallMs),
    });
  }

  /** True if the clock is back where it would be had it not jumped ahead; the high time is then lowered. */
  #hasReturned(now: Moment): boolean {
    const before = this.#beforeJump;
    if (before === undefined) return false;
    if (Math.abs(now.wallMs - this.#expected(before, now)) > this.#toleranceMs) return false;
    this.#deps.log.warn('the clock has come back from a jump ahead', {
      from: timeText(this.#highMs),
      to: timeText(now.wallMs),
    });
    this.#beforeJump = undefined;
    this.#highMs = now.wallMs;
    // Zero, so that the lower time is written down at once.
    this.#durableMs = 0;
    return true;
  }

  #expected(since: Moment, now: Moment): number {
    return since.wallMs + (now.monotonicMs - since.monotonicMs);
  }

  /** One write a step. It is not waited for: a restart meanwhile knows the step before. */
  #remember(): void {
    if (this.#isWriting || this.#highMs - this.#durableMs < stepMs) return;
    this.#isWriting = true;
    const highMs = this.#highMs;
    const value = new TextEncoder().encode(String(Math.round(highMs)));
    this.#deps.store
      .commit({ puts: [{ key: highKey, value }] })
      .then(() => {
        this.#durableMs = highMs;
      })
      .catch((error: unknown) => {
        this.#deps.log.warn('the highest time seen could not be stored', {
          reason: describeError(error),
        });
      })
      .finally(() => {
        this.#isWriting = false;
      });
  }

  #now(): Moment {
    const { clock } = this.#deps;
    return { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
  }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

// One small write this often while certificates are issued; so much of the past may a restart forget.
const stepMs = 10_000;
// A clock that is stepped right should be noticed within seconds.
const retryMsMax = 5000;
const highKey = storeKeys.setting('clock-high');
