/**
 * A guard against a clock that is wrong. One that goes back would date certificates before those already
 * issued, which would outlive what revoked them; one that runs ahead makes everything due at once, and what is
 * done then, keys destroyed and entries forgotten, stays done when the time is right again.
 *
 * A clock that is behind is known to be wrong, by the highest wall time seen, which is kept in the store so
 * that a restart does not forget it. One that is ahead may be right: the machine slept, or the CA was stopped.
 * So it is believed by how long it stands, measured by the monotonic clock. Before that it is not written
 * down, so that a restart does not make a short fault a lasting one.
 */

import {
  type Clock,
  type Closable,
  CodedError,
  describeError,
  formatDurationMs,
  type Logger,
} from '../../core/index.ts';
import type { ClockJudgement, ClockTrust } from '../authority/clock-trust.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import { type ClockJump, expectedMs, type Moment, trustIn, trustWaitMs } from './clock-jump.ts';

/** The clock says less than it said before, or so much more that it is not believed yet. */
export class ClockError extends CodedError<'clock_backwards' | 'clock_ahead'> {
  override readonly name = 'ClockError';
  override readonly kind = 'unavailable';
}

export interface ClockGuard extends ClockJudgement, Closable {
  /** That the clock is behind, or undefined. Ask before each issuance. */
  fault(): ClockError | undefined;
}

export interface ClockGuardDeps {
  readonly store: Pick<Store, 'get' | 'commit'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How far the clock may be off, either way, before it is noticed. */
  readonly toleranceMs: number;
  /** The life of an issuing authority: waits are short beside it. */
  readonly issuingMs: number;
}

/** What is stored is the highest time ever relied on. */
export async function openClockGuard(deps: ClockGuardDeps): Promise<ClockGuard> {
  const item = await deps.store.get(highKey);
  const durableMs = item === undefined ? 0 : Number(new TextDecoder().decode(item.value));
  return new WatchedClock(deps, Number.isSafeInteger(durableMs) ? durableMs : 0);
}

class WatchedClock implements ClockGuard {
  readonly #deps: ClockGuardDeps;
  readonly #toleranceMs: number;
  #highMs: number;
  #durableMs: number;
  /** The newest look at which the clock was not behind. */
  #last: Moment;
  /** The newest jump ahead. Kept when it is believed: its return is no fault even then. */
  #jump: ClockJump | undefined;
  #told: ClockTrust = 'sure';
  #writing: Promise<void> | undefined;
  #triedAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: ClockGuardDeps, durableMs: number) {
    this.#deps = deps;
    this.#toleranceMs = deps.toleranceMs;
    this.#highMs = durableMs;
    this.#durableMs = durableMs;
    const now = this.#now();
    this.#last = { ...now, wallMs: Math.max(now.wallMs, durableMs) };
    // What is stored lags behind what was seen by a step.
    if (durableMs > 0 && now.wallMs - durableMs > this.#toleranceMs + stepMs) {
      // Told and no warning: most often the CA was simply stopped.
      this.#jumped({ ...now, wallMs: durableMs }, now, 'info', 'time has passed without the CA');
    }
  }

  fault(): ClockError | undefined {
    return this.#look() === 'wrong' ? this.#wrong(this.#now()) : undefined;
  }

  trust(): ClockTrust {
    return this.#look();
  }

  doubt(wanted: Exclude<ClockTrust, 'wrong'>): ClockError | undefined {
    const trust = this.#look();
    const now = this.#now();
    if (trust === 'wrong') return this.#wrong(now);
    const jump = this.#jump;
    if (jump === undefined || wanted === 'doubtful') return undefined;
    const waitMs = trustWaitMs(jump, wanted, now.monotonicMs, this.#deps.issuingMs);
    if (waitMs <= 0) return undefined;
    return new ClockError(
      'clock_ahead',
      `the clock says ${timeText(now.wallMs)}, where ${timeText(expectedMs(jump.before, now))} ` +
        `was the time by what was known: it is relied on for this if it stands for ${formatDurationMs(Math.ceil(waitMs))} more`,
      {
        remedy:
          'set the clock if it is wrong; if it is right, wait, or start the CA once with a clockTolerance that covers the jump',
        retryAfterMs: Math.min(waitMs, retryMsMax),
      },
    );
  }

  async close(): Promise<void> {
    const trust = this.#look();
    const isTrusted = trust === 'settled' || trust === 'sure';
    await this.#writing;
    // The next start knows how long it was away, to the moment.
    if (isTrusted && this.#highMs > this.#durableMs) await this.#write();
  }

  #look(): ClockTrust {
    const now = this.#now();
    this.#watchJumpAhead(now);
    const backMs = this.#highMs - now.wallMs;
    if (backMs > this.#toleranceMs && !this.#hasReturned(now)) return this.#tell('wrong', now);
    this.#last = now;
    this.#highMs = Math.max(this.#highMs, now.wallMs);
    const trust = this.#trustAt(now);
    if (trust !== 'doubtful') this.#remember(now);
    return this.#tell(trust, now);
  }

  #trustAt({ monotonicMs }: Moment): ClockTrust {
    const jump = this.#jump;
    return jump === undefined ? 'sure' : trustIn(jump, monotonicMs, this.#deps.issuingMs);
  }

  #watchJumpAhead(now: Moment): void {
    const aheadMs = now.wallMs - expectedMs(this.#last, now);
    if (aheadMs <= this.#toleranceMs) return;
    const jump = this.#jump;
    // A jump on top of one that is not believed is judged by what was known before both.
    const isBelieved = jump === undefined || this.#trustAt(this.#last) === 'sure';
    this.#jumped(isBelieved ? this.#last : jump.before, now, 'warn', 'the clock has jumped ahead');
  }

  #jumped(before: Moment, now: Moment, level: 'info' | 'warn', message: string): void {
    const fromMs = expectedMs(before, now);
    this.#jump = { before, sinceMs: now.monotonicMs, widthMs: now.wallMs - fromMs };
    this.#told = 'doubtful';
    const waitMs = trustWaitMs(this.#jump, 'sure', now.monotonicMs, this.#deps.issuingMs);
    this.#deps.log[level](message, {
      from: timeText(fromMs),
      to: timeText(now.wallMs),
      believedIn: formatDurationMs(Math.round(waitMs)),
    });
  }

  /**
   * True if the clock is back where it would be had it not jumped ahead, or, while the jump is not believed,
   * anywhere between: a clock that is being set right. The high time is then lowered.
   */
  #hasReturned(now: Moment): boolean {
    const jump = this.#jump;
    if (jump === undefined) return false;
    const overMs = now.wallMs - expectedMs(jump.before, now);
    const isBack = Math.abs(overMs) <= this.#toleranceMs;
    if (!isBack && (overMs < 0 || this.#trustAt(now) !== 'doubtful')) return false;
    this.#deps.log.warn('the clock has come back from a jump ahead', {
      from: timeText(this.#highMs),
      to: timeText(now.wallMs),
    });
    this.#highMs = now.wallMs;
    if (this.#durableMs > now.wallMs) {
      // So that the lower time is written down at once.
      this.#durableMs = 0;
      this.#triedAtMs = Number.NEGATIVE_INFINITY;
    }
    if (isBack) this.#jump = undefined;
    else this.#jumped(jump.before, now, 'warn', 'the clock is still ahead');
    return true;
  }

  #wrong({ wallMs }: Moment): ClockError {
    const backMs = this.#highMs - wallMs;
    return new ClockError('clock_backwards', this.#backText(wallMs), {
      remedy: "set the CA's clock; it issues again as soon as the time is right",
      retryAfterMs: Math.min(backMs, retryMsMax),
    });
  }

  #backText(wallMs: number): string {
    return (
      `the clock says ${timeText(wallMs)}, yet it has said ${timeText(this.#highMs)} before: ` +
      `${Math.round(this.#highMs - wallMs)} ms back`
    );
  }

  /** Each change once. */
  #tell(trust: ClockTrust, { wallMs }: Moment): ClockTrust {
    if (trust === this.#told) return trust;
    const { log } = this.#deps;
    if (trust === 'wrong') {
      log.error('no certificates are issued', { reason: this.#backText(wallMs) });
    } else if (this.#told === 'wrong') {
      log.warn('the clock is right again; certificates are issued', { now: timeText(wallMs) });
    } else {
      log.info('trust in the clock has changed', { trust, now: timeText(wallMs) });
    }
    this.#told = trust;
    return trust;
  }

  /** One write a step. It is not waited for: a restart meanwhile knows the step before. */
  #remember({ monotonicMs }: Moment): void {
    if (this.#writing !== undefined || this.#highMs - this.#durableMs < stepMs) return;
    // A store that fails is asked again after a step, not at each look.
    if (monotonicMs - this.#triedAtMs < stepMs) return;
    this.#triedAtMs = monotonicMs;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const highMs = this.#highMs;
    const value = new TextEncoder().encode(String(Math.round(highMs)));
    try {
      await this.#deps.store.commit({ puts: [{ key: highKey, value }] });
      this.#durableMs = highMs;
    } catch (error) {
      this.#deps.log.warn('the highest time seen could not be stored', {
        reason: describeError(error),
      });
    }
  }

  #now(): Moment {
    const { clock } = this.#deps;
    return { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
  }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

// One small write this often; so much of the past may a restart forget.
const stepMs = 10_000;
// A clock that is stepped right should be noticed within seconds.
const retryMsMax = 5000;
const highKey = storeKeys.setting('clock-high');
