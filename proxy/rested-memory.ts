/**
 * Has memory given back when the proxy comes to rest after it did much: its start, a stream, a crowd of clients. The
 * runtime keeps what that took for the next time, and most sidecars are at rest nearly always.
 */

import type { Clock, Closable, Timer } from '../core/index.ts';

export interface RestedMemoryDeps {
  readonly clock: Clock;
  readonly giveBack: () => void;
  /** Bytes read so far, handshakes counted in. */
  readonly total: () => number;
}

export class RestedMemory implements Closable {
  readonly #deps: RestedMemoryDeps;
  #seen = 0;
  #timer: Timer | undefined;

  /** Its start is the first that it did. */
  constructor(deps: RestedMemoryDeps) {
    this.#deps = deps;
    this.didMuch();
  }

  didMuch(): void {
    this.#timer ??= this.#deps.clock.after(restMs, () => this.#look());
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer = undefined;
    const total = this.#deps.total();
    const isAtRest = total - this.#seen <= restBytesMax;
    this.#seen = total;
    if (isAtRest) this.#deps.giveBack();
    else this.didMuch();
  }
}

// It stops the proxy for a tenth of a second: not while requests follow each other…
const restMs = 2000;
// …though a probe now and then is not work.
const restBytesMax = 32 * 1024;
