/** Which endpoints are passed over, by how they were when they were dialled last. Nothing is asked of them for it. */

import { type BackoffPolicy, backoffMs, type Clock, type Random } from '../../core/index.ts';
import type { DialFailure, DialOutcome } from '../net/dialer.ts';

export interface EndpointHealthOptions {
  /** In which a dial has ended, however it ends. */
  readonly dialMsMax: number;
}

export interface EndpointHealthDeps {
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * An endpoint that could not be connected to is passed over for a while, and for longer each time. Then one request
 * is let try it: where it is silent that request alone waits for it, and is sent on to another.
 */
export class EndpointHealth {
  readonly #options: EndpointHealthOptions;
  readonly #deps: EndpointHealthDeps;
  #failures = 0;
  #untilMs = 0;
  #isProbing = false;

  constructor(options: EndpointHealthOptions, deps: EndpointHealthDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Whether the next request may go there. Whoever is told so goes. */
  mayTry(): boolean {
    if (this.#failures === 0) return true;
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs < this.#untilMs) return false;
    if (this.#isProbing) {
      // No dial has failed since: a connection that lives was used, and so may the next ones be.
      this.#clear();
      return true;
    }
    this.#isProbing = true;
    this.#untilMs = nowMs + this.#options.dialMsMax;
    return true;
  }

  onDialed(outcome: DialOutcome): void {
    if (outcome.kind === 'connected') {
      this.#clear();
    } else if (!isOurs.has(outcome.code)) {
      const { clock, random } = this.#deps;
      const nowMs = clock.monotonicMs();
      // Of dials that were under way together the first tells what all of them tell: they are one failure.
      if (this.#failures > 0 && !this.#isProbing && nowMs < this.#untilMs) return;
      this.#untilMs = nowMs + backoffMs(passing, this.#failures, random);
      this.#failures += 1;
      this.#isProbing = false;
    }
  }

  #clear(): void {
    this.#failures = 0;
    this.#isProbing = false;
  }
}

// A restart is over in seconds, and who is back shall not wait for long; who is gone for good costs a dial each time.
const passing: BackoffPolicy = { baseMs: 1000, maxMs: 30_000 };

// Without a certificate of our own nothing was asked of the endpoint.
const isOurs: ReadonlySet<DialFailure> = new Set(['tls_not_ready']);
