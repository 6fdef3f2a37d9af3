/**
 * Has the memory that the start took given back, once, when the proxy first comes to rest. Not later again: such a
 * collection drops compiled code, too, and a proxy that rests a moment between requests would ever begin cold.
 */

import type { Clock, Closable, Timer } from '../core/index.ts';

export interface StartMemoryDeps {
  readonly clock: Clock;
  readonly giveBack: () => void;
  /** Bytes read so far. */
  readonly total: () => number;
}

export function giveBackOnce({ clock, giveBack, total }: StartMemoryDeps): Closable {
  let seen = 0;
  let timer: Timer;
  const look = (): void => {
    const before = seen;
    seen = total();
    if (seen - before <= restBytesMax) giveBack();
    else timer = clock.after(restMs, look);
  };
  timer = clock.after(restMs, look);
  return {
    async close() {
      timer.cancel();
    },
  };
}

// It stops the proxy for a tenth of a second: not while requests follow each other…
const restMs = 2000;
// …though a probe now and then is no request that would be missed.
const restBytesMax = 32 * 1024;
