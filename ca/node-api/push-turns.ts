/**
 * Streams that a change has woken, some at each turn of the event loop: HTTP/2 writes at a turn's end, so
 * the first nodes have their state while the last ones' is made, and no other call waits for all of them.
 */

import { afterTurn } from '../../core/index.ts';

export class PushTurns {
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  /** Resolves at once in a turn that has room; never later than the streams before need. */
  take(): Promise<void> {
    if (this.#taken >= pushesPerTurnMax) {
      return new Promise((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    this.#taken += 1;
    if (this.#taken === 1) afterTurn(() => this.#next());
    return Promise.resolve();
  }

  #next(): void {
    const some = this.#waiting.splice(0, pushesPerTurnMax);
    this.#taken = some.length;
    for (const resolve of some) resolve();
    if (some.length > 0) afterTurn(() => this.#next());
  }
}

// About two milliseconds of work, encryption included.
const pushesPerTurnMax = 32;
