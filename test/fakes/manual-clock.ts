/** A clock that moves only when a test turns it, running what falls due in order. */

import type { Clock, Timer } from '../../core/index.ts';

export class ManualClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly action: () => void }>();

  constructor(wallMs: number) {
    this.#wallMs = wallMs;
  }

  readonly wallMs = (): number => this.#wallMs;
  readonly monotonicMs = (): number => this.#monotonicMs;

  readonly after = (delayMs: number, action: () => void): Timer => {
    const timer = { atMs: this.#monotonicMs + Math.max(0, delayMs), action };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  };

  /** Moves the wall time alone, as a clock that is set does, or a machine that sleeps. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  /** Moves both times on. What falls due runs at its own time; promises settle between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms;
    for (;;) {
      // Work that a timer began may set the next one; it gets its turns before time moves on.
      await settle();
      const due = [...this.#timers]
        .filter(({ atMs }) => atMs <= endMs)
        .toSorted((left, right) => left.atMs - right.atMs)[0];
      this.#moveTo(due?.atMs ?? endMs);
      if (due === undefined) return settle();
      this.#timers.delete(due);
      due.action();
    }
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += Math.max(0, monotonicMs - this.#monotonicMs);
    this.#monotonicMs = Math.max(this.#monotonicMs, monotonicMs);
  }
}

/** Lets everything that waits on nothing but promises go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < settleTurns; turn += 1) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

// The longest chain of store, audit and watch steps in our code takes a handful of turns.
const settleTurns = 8;
