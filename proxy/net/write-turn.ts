/** All writes of one turn of the event loop, made together at its end. */

/** Something with bytes to give to the kernel. */
export interface Flushable {
  flushNow(): void;
}

/**
 * One for all connections of a proxy. Between the kernel's events of one turn no write comes in between, so that
 * code which decodes and decides runs from warm caches, and what several events add to one connection leaves in
 * one call: with many connections that is a quarter of a request's cost (bench/RESULTS.md).
 */
export class WriteTurn {
  readonly #afterTurn: (action: () => void) => void;
  readonly #flush = (): void => this.#flushAll();
  #waiting: Flushable[] = [];
  #spare: Flushable[] = [];

  /** `afterTurn` is core's, or a test's own. */
  constructor(afterTurn: (action: () => void) => void) {
    this.#afterTurn = afterTurn;
  }

  /** Has `member` flushed at the end of this turn. Who is waiting already is not to be added again. */
  add(member: Flushable): void {
    if (this.#waiting.push(member) === 1) this.#afterTurn(this.#flush);
  }

  #flushAll(): void {
    const now = this.#waiting;
    // What a flush brings about, a drain above all, belongs to the next turn: else who keeps writing would
    // keep the loop from reading.
    this.#waiting = this.#spare;
    for (const member of now) member.flushNow();
    now.length = 0;
    this.#spare = now;
  }
}
