/** A token bucket over monotonic time: a rate, and a burst that quiet time saves up. */

import type { Clock } from './clock.ts';

export interface RateLimitOptions {
  readonly perSecond: number;
  /** The most that may be taken at once after a quiet time. */
  readonly burst: number;
}

export class RateLimit {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #options: RateLimitOptions;
  #tokens: number;
  #atMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs'>, options: RateLimitOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#tokens = options.burst;
    this.#atMs = clock.monotonicMs();
  }

  /** Takes `cost` if it is there; 0 then, else how long until it will be, with nothing taken. */
  take(cost: number): number {
    this.#refill();
    if (this.#tokens >= cost) {
      this.#tokens -= cost;
      return 0;
    }
    return this.#msUntil(cost);
  }

  /** Gives back up to `cost` of what was taken, within the burst: it turned out to be worth its price. */
  giveBack(cost: number): void {
    this.#tokens = Math.min(this.#options.burst, this.#tokens + cost);
  }

  /** How long until `cost` could be taken; 0 for now. Nothing is taken. */
  waitMs(cost: number): number {
    this.#refill();
    return this.#tokens >= cost ? 0 : this.#msUntil(cost);
  }

  /** Nothing was taken for so long that a new one would say the same: it need not be kept. */
  isFull(): boolean {
    this.#refill();
    return this.#tokens >= this.#options.burst;
  }

  #msUntil(cost: number): number {
    return ((cost - this.#tokens) / this.#options.perSecond) * 1000;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#atMs) / 1000) * this.#options.perSecond;
    this.#tokens = Math.min(this.#options.burst, this.#tokens + gained);
    this.#atMs = nowMs;
  }
}
