/**
 * Has memory given back when a crowd has passed: the start of the agent, a thousand connections, the renewal of every
 * certificate. The runtime keeps what a crowd took for the next one, and an agent is at rest nearly always.
 */

import type { Clock, Closable, Timer, Watch } from '../core/index.ts';
import type { MemorySweep } from './protect-process.ts';
import type { EntrySvids } from './svid/entry-svid.ts';

export interface RestedMemoryDeps {
  readonly svids: Watch<EntrySvids>;
  /** Callers that came and went. */
  readonly moves: Watch<number>;
  readonly sweep: MemorySweep;
  readonly clock: Clock;
}

/** The agent starts when this is called: that counts as a crowd. */
export function giveBackAtRest({ svids, moves, sweep, clock }: RestedMemoryDeps): Closable {
  let timer: Timer | undefined;
  let crowd = crowdMin;
  let busyMs = clock.monotonicMs();
  const look = (): void => {
    timer = undefined;
    const leftMs = busyMs + quietMs - clock.monotonicMs();
    if (leftMs > 0) {
      timer = clock.after(leftMs, look);
      return;
    }
    crowd = 0;
    sweep('giveBack');
  };
  const came = (count: number): void => {
    crowd += count;
    busyMs = clock.monotonicMs();
    if (crowd >= crowdMin) timer ??= clock.after(quietMs, look);
  };
  let before = svids.current();
  const stops = [
    moves.subscribe(() => came(1)),
    svids.subscribe((after) => {
      came([...after].filter(([id, held]) => before.get(id) !== held).length);
      before = after;
    }),
  ];
  came(0);
  return {
    async close() {
      for (const stop of stops) stop();
      timer?.cancel();
    },
  };
}

// It stops the agent for a tenth of a second, with thousands of streams for half of one: not among requests…
const quietMs = 3000;
// …and not for a few of them, which leave next to nothing.
const crowdMin = 100;
