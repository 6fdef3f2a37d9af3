/**
 * A jump of the wall clock ahead, and how long its new time must stand before it is believed. Nobody can tell
 * a machine that slept from a clock that is wrong by looking once; but a wrong clock is set right within
 * minutes where time is kept at all, and one that stands for longer is what the operator's machine says. A
 * jump need not stand for longer than it is wide: as much time passes then as it claimed to have passed.
 */

import type { ClockTrust } from '../authority/clock-trust.ts';

/** The same moment on both clocks: from it follows what the wall clock should say later. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export interface ClockJump {
  /** What was known before it. */
  readonly before: Moment;
  /** When it was seen, on the monotonic clock. */
  readonly sinceMs: number;
  readonly widthMs: number;
}

/** What the wall clock would say had it run on from `since` as the monotonic one did. */
export function expectedMs(since: Moment, now: Moment): number {
  return since.wallMs + (now.monotonicMs - since.monotonicMs);
}

/** How long it is until the new time is believed so far; not above 0 if it is. */
export function trustWaitMs(
  { sinceMs, widthMs }: ClockJump,
  wanted: 'settled' | 'sure',
  monotonicMs: number,
  issuingMs: number,
): number {
  const capMs =
    wanted === 'settled'
      ? Math.min(settledMsMax, issuingMs / 8)
      : Math.min(sureMsMax, issuingMs / 4);
  return sinceMs + Math.min(widthMs, capMs) - monotonicMs;
}

export function trustIn(jump: ClockJump, monotonicMs: number, issuingMs: number): ClockTrust {
  if (trustWaitMs(jump, 'settled', monotonicMs, issuingMs) > 0) return 'doubtful';
  return trustWaitMs(jump, 'sure', monotonicMs, issuingMs) > 0 ? 'settled' : 'sure';
}

// Daemons that keep the time step it within a few of their polls, a minute apart. Beside a short life of the
// issuing authority even that would be long: an eighth leaves it three of the four eighths from its renewal on.
const settledMsMax = 600_000;
// For what cannot be undone; nobody waits for it, but a root that has ended, and then nothing is valid anyway.
const sureMsMax = 3_600_000;
