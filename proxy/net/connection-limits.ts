/** How many connections there may be: of a whole proxy, of a listener, and of one source on it. */

import { sourceKey } from './address.ts';

/** A count with a bound. One is shared by all listeners of a proxy, and each listener has its own. */
export class ConnectionCount {
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get isFull(): boolean {
    return this.#count >= this.#max;
  }

  add(): void {
    this.#count += 1;
  }

  remove(): void {
    this.#count -= 1;
  }
}

/** Counts by source; a source is held only while it has a connection, so the listener's bound is its bound. */
export class SourceCounts {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** False if the source has its fill. Otherwise the connection is counted until {@link remove}. */
  add(host: string): boolean {
    const key = sourceKey(host);
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.#max) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  remove(host: string): void {
    const key = sourceKey(host);
    const count = this.#counts.get(key) ?? 0;
    if (count > 1) this.#counts.set(key, count - 1);
    else this.#counts.delete(key);
  }
}
