/**
 * Who may begin now: a rate for all, a rate for each caller, a bound on what is under way, and a fair
 * queue before it. Over the bound of the queue a caller is told at once, and when to come again.
 */

import {
  afterTurn,
  type Clock,
  CodedError,
  type Timer,
  RateLimit,
  type RateLimitOptions,
} from '../../core/index.ts';
import { FairQueue } from './fair-queue.ts';

/** The caller did nothing wrong: it, or everybody together, asked for too much at once. */
export class OverloadedError extends CodedError<'overloaded'> {
  override readonly name = 'OverloadedError';
  override readonly kind = 'resource_exhausted';
}

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly total: RateLimitOptions;
  readonly perCaller: RateLimitOptions;
  /** The most that may be under way; the rest waits in fair order. */
  readonly runningMax: number;
  /** The most that begin in one turn of the event loop, so that whoever else waits for it gets its own. */
  readonly beginPerTurnMax: number;
  readonly queueMax: number;
  readonly queuePerCallerMax: number;
}

interface Waiter {
  readonly caller: string;
  readonly cost: number;
  readonly go: () => void;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #queue: FairQueue<Waiter>;
  readonly #total: RateLimit;
  readonly #callers = new Map<string, RateLimit>();
  #running = 0;
  #begun = 0;
  #refused = 0;
  #timer: Timer | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#queue = new FairQueue({
      itemsMax: options.queueMax,
      itemsPerCallerMax: options.queuePerCallerMax,
    });
    this.#total = new RateLimit(options.clock, options.total);
  }

  /** How many wait. */
  depth(): number {
    return this.#queue.size();
  }

  /** How many were sent away since the start. */
  refused(): number {
    return this.#refused;
  }

  /** Runs `task` when it is the caller's turn. Throws {@link OverloadedError} if too many wait. */
  async run<T>(caller: string, task: () => Promise<T>, cost = 1): Promise<T> {
    await this.#admit(caller, cost);
    try {
      return await task();
    } finally {
      this.#running -= 1;
      this.#pump();
    }
  }

  #admit(caller: string, cost: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const outcome = this.#queue.enqueue(caller, cost, { caller, cost, go: resolve });
    if (outcome !== 'queued') return Promise.reject(this.#overloaded(caller, outcome));
    this.#pump();
    return promise;
  }

  /** Lets go whoever may; if a rate is what holds the next one up, looks again when it allows. */
  #pump(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#running < this.#options.runningMax && this.#mayBegin()) {
      const waiter = this.#queue.dequeue((caller, cost) => this.#mayGo(caller, cost));
      if (waiter === undefined) break;
      this.#running += 1;
      this.#begin();
      this.#total.take(waiter.cost);
      this.#callerRate(waiter.caller).take(waiter.cost);
      waiter.go();
    }
    const isHeldByRate = this.#running < this.#options.runningMax && this.#mayBegin();
    if (this.#queue.size() > 0 && isHeldByRate) {
      this.#timer = this.#options.clock.after(this.#nextMs(), () => this.#pump());
    }
  }

  #mayBegin(): boolean {
    return this.#begun < this.#options.beginPerTurnMax;
  }

  #begin(): void {
    this.#begun += 1;
    if (this.#begun > 1) return;
    afterTurn(() => {
      this.#begun = 0;
      this.#pump();
    });
  }

  #mayGo(caller: string, cost: number): boolean {
    return this.#total.waitMs(cost) === 0 && this.#callerRate(caller).waitMs(cost) === 0;
  }

  #nextMs(): number {
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const caller of this.#queue.callers()) {
      soonestMs = Math.min(soonestMs, this.#callerRate(caller).waitMs(1));
    }
    return Math.max(1, Math.ceil(Math.max(soonestMs, this.#total.waitMs(1))));
  }

  #callerRate(caller: string): RateLimit {
    const known = this.#callers.get(caller);
    if (known !== undefined) return known;
    if (this.#callers.size >= callersSwept) this.#sweep();
    const rate = new RateLimit(this.#options.clock, this.#options.perCaller);
    this.#callers.set(caller, rate);
    return rate;
  }

  /** A full bucket says what a new one would: strangers must not fill the memory with them. */
  #sweep(): void {
    for (const [caller, rate] of this.#callers) {
      if (rate.isFull()) this.#callers.delete(caller);
    }
  }

  #overloaded(caller: string, outcome: 'queue_full' | 'caller_full'): OverloadedError {
    this.#refused += 1;
    const { total, perCaller } = this.#options;
    const isOwn = outcome === 'caller_full';
    const waiting = isOwn ? this.#queue.sizeOf(caller) : this.#queue.size();
    const perSecond = isOwn ? Math.min(total.perSecond, perCaller.perSecond) : total.perSecond;
    // Half of what waits now will be gone by then, so that there is room.
    const drainMs = (waiting / perSecond) * 500;
    const retryAfterMs = Math.round(Math.min(Math.max(drainMs, retryMsMin), retryMsMax));
    return new OverloadedError(
      'overloaded',
      `${waiting} requests ${isOwn ? 'of this caller ' : ''}wait already`,
      { retryAfterMs },
    );
  }
}

// A shorter wait would only bring the caller back into the same full queue.
const retryMsMin = 100;
// A longer one would leave the CA idle after a burst that it has long worked off.
const retryMsMax = 5000;
// Looking through so many rates takes less than a millisecond.
const callersSwept = 10_000;
