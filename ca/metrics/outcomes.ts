/** How the writes of one store or log go: how many are under way, how long each took, whether the last one failed. */

import type { Clock } from '../../core/index.ts';
import type { Counter, Histogram } from './metrics.ts';

export interface WriteMeasures {
  /** Of the writes that ended well. */
  readonly seconds: Histogram;
  readonly failures: Counter;
}

export class Outcomes {
  readonly #clock: Clock;
  #waiting = 0;
  #failure: { readonly error: unknown; readonly atMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async follow<T>(write: () => Promise<T>, measures: WriteMeasures): Promise<T> {
    const beganMs = this.#clock.monotonicMs();
    this.#waiting += 1;
    try {
      const result = await write();
      measures.seconds.observe((this.#clock.monotonicMs() - beganMs) / 1000);
      this.#failure = undefined;
      return result;
    } catch (error) {
      this.#failure = { error, atMs: this.#clock.monotonicMs() };
      measures.failures.add();
      throw error;
    } finally {
      this.#waiting -= 1;
    }
  }

  waiting(): number {
    return this.#waiting;
  }

  /**
   * Why the newest write failed, if that was a moment ago. An older failure says nothing: nobody may
   * have written since, because somebody was told not to.
   */
  recentFailure(): unknown {
    const failure = this.#failure;
    if (failure === undefined) return undefined;
    return this.#clock.monotonicMs() - failure.atMs < recentMs ? failure.error : undefined;
  }
}

// Two probes of the usual ten seconds see it.
const recentMs = 20_000;
