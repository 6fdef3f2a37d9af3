/** Why we closed connections, served or not, in a log that a crowd of them does not fill. */

import type { Clock, LogFields, Logger } from '../../core/index.ts';

/** Of one listener. What is not logged is counted all the same, by the listener's counters. */
export class RefusalLog {
  readonly #listener: string;
  readonly #log: Logger;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #kinds = new Map<string, { nextMs: number; unsaid: number }>();

  constructor(listener: string, log: Logger, clock: Pick<Clock, 'monotonicMs'>) {
    this.#listener = listener;
    this.#log = log;
    this.#clock = clock;
  }

  /**
   * The first of a kind in a minute is a warning, with how many of its kind had none since the one before; the others
   * are for whoever debugs. `kind` is the name of a counter, so that there are few; `more` is what else is known.
   */
  write(kind: string, peer: string, reason: string, more: LogFields = {}): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#kinds.get(kind);
    const fields = { listener: this.#listener, peer, ...more, reason };
    if (last !== undefined && nowMs < last.nextMs) {
      last.unsaid += 1;
      this.#log.debug(message, fields);
      return;
    }
    this.#kinds.set(kind, { nextMs: nowMs + quietMs, unsaid: 0 });
    const unsaid = last?.unsaid ?? 0;
    this.#log.warn(message, unsaid === 0 ? fields : { ...fields, unsaid });
  }
}

const message = 'a connection was closed';

// Whoever looks into the log finds each reason near its time, and a flood of connections writes a line a minute.
const quietMs = 60_000;
