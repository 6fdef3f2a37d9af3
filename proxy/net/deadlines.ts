/** Timeouts for thousands of connections out of one timer: each keeps a number, and one sweep compares. */

import type { Clock, Timer } from '../../core/index.ts';

/** What can run out of time. `deadlineMs` is on the scale of {@link Deadlines.in}. */
export interface Expiring {
  deadlineMs: number;
  onDeadline(): void;
}

/**
 * Setting a deadline is one assignment, which is what a request's hot path can afford. The price is
 * precision: a deadline is noticed up to {@link sweepMs} late, and never early.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #members = new Set<Expiring>();
  #nowMs: number;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#nowMs = clock.monotonicMs();
  }

  /** The value of `deadlineMs` that is `delayMs` away, reckoned from the last sweep. */
  in(delayMs: number): number {
    return this.#nowMs + sweepMs + delayMs;
  }

  /** Whether it is due, for who keeps several and shows the first. */
  hasPassed(deadlineMs: number): boolean {
    return deadlineMs <= this.#nowMs;
  }

  add(member: Expiring): void {
    this.#members.add(member);
    if (this.#timer !== undefined) return;
    this.#nowMs = this.#clock.monotonicMs();
    this.#arm();
  }

  delete(member: Expiring): void {
    this.#members.delete(member);
  }

  #arm(): void {
    this.#timer = this.#clock.after(sweepMs, () => this.#sweep());
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#nowMs = nowMs;
    for (const member of this.#members) {
      if (member.deadlineMs > nowMs) continue;
      member.deadlineMs = never;
      member.onDeadline();
    }
    // With nobody to watch there is nothing to wake up for.
    if (this.#members.size === 0) this.#timer = undefined;
    else this.#arm();
  }
}

/** A deadline that does not come. */
export const never = Number.POSITIVE_INFINITY;

// The timeouts of a proxy are seconds; a quarter of one is precise enough and costs nothing when idle.
export const sweepMs = 250;
