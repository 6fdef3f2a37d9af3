/** Requests that wait for a connection: in order, bounded in number, and none for longer than it may. */

import { type Deadlines, type Expiring, never } from '../net/deadlines.ts';
import type { NoConnection, PoolWaiter } from './pool.ts';

export class PoolWaiters implements Expiring {
  /** Of who waits longest, since all wait equally long. */
  deadlineMs = never;
  readonly #deadlines: Deadlines;
  readonly #msMax: number;
  readonly #onLate: () => void;
  #waiting: Waiting[] = [];
  #added = 0;

  /** `onLate` is called for each that has waited for `msMax`, before it is told. */
  constructor(deadlines: Deadlines, msMax: number, onLate: () => void) {
    this.#deadlines = deadlines;
    this.#msMax = msMax;
    this.#onLate = onLate;
  }

  get count(): number {
    return this.#waiting.length;
  }

  /** False where so many wait that another would only wait longer for the same answer. */
  add(waiter: PoolWaiter): boolean {
    if (this.#waiting.length >= waitersMax) return false;
    this.#added += 1;
    const deadlineMs = this.#deadlines.in(this.#msMax);
    this.#waiting.push({ waiter, number: this.#added, deadlineMs });
    if (this.#waiting.length === 1) this.#deadlines.add(this);
    this.#time();
    return true;
  }

  /** Who has waited longest, and waits no more. */
  take(): PoolWaiter | undefined {
    const first = this.#waiting.shift();
    this.#time();
    return first?.waiter;
  }

  cancel(waiter: PoolWaiter): void {
    const at = this.#waiting.findIndex((each) => each.waiter === waiter);
    if (at === -1) return;
    this.#waiting.splice(at, 1);
    this.#time();
  }

  refuseOne(code: NoConnection, detail: string): void {
    this.take()?.onNoConnection(code, detail);
  }

  /** Refuses all who wait now, and not who is told and asks again at once. */
  refuseAll(code: NoConnection, detail: string): void {
    const last = this.#added;
    while ((this.#waiting[0]?.number ?? Number.POSITIVE_INFINITY) <= last) {
      this.refuseOne(code, detail);
    }
  }

  onDeadline(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined || !this.#deadlines.hasPassed(first.deadlineMs)) break;
      this.#onLate();
      this.refuseOne('late', `no connection was free within ${this.#msMax} ms`);
    }
    this.#time();
  }

  #time(): void {
    const first = this.#waiting[0];
    this.deadlineMs = first?.deadlineMs ?? never;
    if (first === undefined) this.#deadlines.delete(this);
  }
}

interface Waiting {
  readonly waiter: PoolWaiter;
  readonly number: number;
  readonly deadlineMs: number;
}

// With no connection to be had a longer queue would only be a longer wait before the same answer.
export const waitersMax = 1024;
