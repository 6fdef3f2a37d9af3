/** How far the time may be relied on, for steps that cannot be taken back. Judged by the CA's clock guard. */

import type { CodedError } from '../../core/index.ts';

/**
 * `wrong`: it says less than it said before, so that nothing may be dated by it. `doubtful`: it went ahead of
 * what was known, and nobody can tell yet whether time has passed or the clock is wrong. `settled`: that new
 * time has stood for a while. `sure`: it has stood for long, or nothing was ever odd about it.
 */
export type ClockTrust = 'wrong' | 'doubtful' | 'settled' | 'sure';

export interface ClockJudgement {
  trust(): ClockTrust;
  /** Why it is less than `wanted`, both times told, with when to ask again; undefined if it is not. */
  doubt(wanted: Exclude<ClockTrust, 'wrong'>): CodedError | undefined;
}

/** For whoever has no guard: time is what the clock says. */
export const unquestionedClock: ClockJudgement = { trust: () => 'sure', doubt: () => undefined };
