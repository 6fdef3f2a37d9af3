/** Tells when entries that were given an end reach it: one timer for the soonest of them. */

import type { Clock, Timer } from '../../core/index.ts';
import type { RegistrationEntry } from './registration-entry.ts';

/** Whether the entry still gives an identity at this time. */
export function isInForce(entry: Pick<RegistrationEntry, 'expiresAtMs'>, nowMs: number): boolean {
  return entry.expiresAtMs === undefined || nowMs < entry.expiresAtMs;
}

export class EntryExpiry {
  readonly #clock: Clock;
  readonly #onExpired: (entries: readonly RegistrationEntry[]) => void;
  /** Those that have not been told of yet. */
  readonly #waiting = new Map<string, RegistrationEntry>();
  #timer: Timer | undefined;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, onExpired: (entries: readonly RegistrationEntry[]) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  put(entry: RegistrationEntry): void {
    if (entry.expiresAtMs === undefined) {
      this.#waiting.delete(entry.id);
      return;
    }
    this.#waiting.set(entry.id, entry);
    if (entry.expiresAtMs < this.#dueMs) this.#wakeAt(entry.expiresAtMs);
  }

  /** A timer that is left over fires once for nothing. */
  delete(id: string): void {
    this.#waiting.delete(id);
  }

  clear(): void {
    this.#waiting.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  #wakeAt(dueMs: number): void {
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    // Wall time may jump, and no timer lasts for months: look again after a while at the latest.
    const waitMs = Math.min(Math.max(0, dueMs - this.#clock.wallMs()), recheckMs);
    this.#timer = this.#clock.after(waitMs, () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.wallMs();
    const expired = [...this.#waiting.values()].filter((entry) => !isInForce(entry, nowMs));
    for (const { id } of expired) this.#waiting.delete(id);
    this.#dueMs = Number.POSITIVE_INFINITY;
    const nextMs = this.#soonest();
    if (nextMs !== undefined) this.#wakeAt(nextMs);
    if (expired.length > 0) this.#onExpired(expired);
  }

  #soonest(): number | undefined {
    let soonest: number | undefined;
    for (const { expiresAtMs } of this.#waiting.values()) {
      if (expiresAtMs !== undefined && expiresAtMs < (soonest ?? Number.POSITIVE_INFINITY)) {
        soonest = expiresAtMs;
      }
    }
    return soonest;
  }
}

const recheckMs = 60_000;
