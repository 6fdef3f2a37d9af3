/**
 * Idempotency keys: a POST that is repeated with the same `Idempotency-Key` by the same caller is
 * answered as the first time and not done again, so that a client may repeat what it got no answer to.
 */

import { hash } from 'node:crypto';
import { AdminError } from '../../api/index.ts';
import type { Clock } from '../../core/index.ts';

export interface StoredAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export type Claim =
  /** The first with this key: do it, then `finish` or `abandon`. */
  | { readonly kind: 'first'; readonly slot: string }
  | { readonly kind: 'repeat'; readonly answer: StoredAnswer };

interface Slot {
  readonly requestSha256: string;
  readonly untilMs: number;
  answer: StoredAnswer | undefined;
}

/** The keys of the last while, in memory: a restart forgets them, as the header's readers must expect. */
export class IdempotencyKeys {
  readonly #clock: Clock;
  readonly #max: number;
  /** Oldest first. */
  readonly #slots = new Map<string, Slot>();

  constructor(clock: Clock, max = slotsMax) {
    this.#clock = clock;
    this.#max = max;
  }

  /**
   * Throws {@link AdminError}: `idempotency_key_invalid`, `idempotency_key_reused` for another request
   * under the same key, `idempotency_key_busy` while the first is under way or no key can be kept.
   */
  claim(p: {
    readonly caller: string;
    readonly key: string;
    /** Method, path and body: what makes two requests the same. */
    readonly request: string;
  }): Claim {
    if (!/^[!-~]{1,128}$/.test(p.key)) {
      throw new AdminError(
        'invalid_argument',
        'idempotency_key_invalid',
        'Idempotency-Key: 1 to 128 visible ASCII characters',
      );
    }
    this.#forgetOld();
    const name = `${p.caller} ${p.key}`;
    const requestSha256 = hash('sha256', p.request, 'hex');
    const found = this.#slots.get(name);
    if (found === undefined) {
      this.#makeRoom();
      const untilMs = this.#clock.monotonicMs() + keepMs;
      this.#slots.set(name, { requestSha256, untilMs, answer: undefined });
      return { kind: 'first', slot: name };
    }
    if (found.requestSha256 !== requestSha256) {
      throw new AdminError(
        'already_exists',
        'idempotency_key_reused',
        `the Idempotency-Key ${p.key} was used for another request`,
        'make a new key for a new request',
      );
    }
    if (found.answer !== undefined) return { kind: 'repeat', answer: found.answer };
    throw new AdminError(
      'aborted',
      'idempotency_key_busy',
      `the first request with the Idempotency-Key ${p.key} is still under way`,
      'repeat it in a moment',
    );
  }

  finish(slot: string, answer: StoredAnswer): void {
    const found = this.#slots.get(slot);
    if (found === undefined) return;
    if (answer.body.length > bodyLengthMax) this.#slots.delete(slot);
    else found.answer = answer;
  }

  /** It was not done: the next one with this key may try. */
  abandon(slot: string): void {
    this.#slots.delete(slot);
  }

  #forgetOld(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [name, { untilMs }] of this.#slots) {
      if (untilMs > nowMs) return;
      this.#slots.delete(name);
    }
  }

  /** The oldest that is done goes; one under way never does, or it could be done twice. */
  #makeRoom(): void {
    if (this.#slots.size < this.#max) return;
    for (const [name, { answer }] of this.#slots) {
      if (answer === undefined) continue;
      this.#slots.delete(name);
      return;
    }
    throw new AdminError(
      'resource_exhausted',
      'idempotency_key_busy',
      `${this.#max} requests with an Idempotency-Key are under way`,
      'repeat it in a moment',
    );
  }
}

// A client that repeats does so within seconds; a person who repeats, within minutes.
const keepMs = 10 * 60_000;
// With the bound below at most 64 MiB, and in practice some hundred kilobytes.
const slotsMax = 1024;
const bodyLengthMax = 64 * 1024;
