/** Does one thing after each request, never twice at once, and again with growing waits while it fails. */

import {
  type BackoffPolicy,
  backoffMs,
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
  sleep,
} from '../../core/index.ts';

export interface Repeater extends Closable {
  /** Requests that come while it runs are one more run after it. */
  request(): void;
}

export function createRepeater(p: {
  /** For the log, as in `what failed`. */
  readonly what: string;
  readonly run: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}): Repeater {
  const ended = new AbortController();
  let wanted = 0;
  let done = 0;
  let running: Promise<void> | undefined;
  let woken = new AbortController();

  const loop = async (): Promise<void> => {
    let failures = 0;
    while (done !== wanted && !ended.signal.aborted) {
      const at = wanted;
      woken = new AbortController();
      try {
        await p.run(ended.signal);
        done = at;
        failures = 0;
      } catch (error) {
        if (ended.signal.aborted) return;
        const waitMs = backoffMs(retryBackoff, failures, p.random);
        failures += 1;
        p.log.error(`${p.what} failed; it is tried again`, {
          reason: describeError(error),
          retryInMs: Math.round(waitMs),
        });
        // A new request does not wait for the failures of an older one.
        if (at === wanted) await sleep(p.clock, waitMs, woken.signal);
      }
    }
  };
  const wake = (): void => {
    woken.abort();
    running ??= loop().finally(() => {
      running = undefined;
    });
  };
  return {
    request() {
      wanted += 1;
      wake();
    },
    async close() {
      ended.abort();
      woken.abort();
      await running;
    },
  };
}

// An application that cannot be told is told again each minute; its disk may be full for longer than that.
const retryBackoff: BackoffPolicy = { baseMs: 500, maxMs: 60_000 };
