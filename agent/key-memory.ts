/** Has the memory swept after keys or secrets were retired: soon, all that are retired meanwhile at once, and not all the time. */

import type { Clock, Closable, Timer, Watch } from '../core/index.ts';
import type { NodeSvid } from './node-svid.ts';
import type { MemorySweep } from './protect-process.ts';
import type { EntrySvids } from './svid/entry-svid.ts';

export interface KeyMemoryDeps {
  readonly svids: Watch<EntrySvids>;
  readonly node: Watch<NodeSvid>;
  /** Told of each named secret and set of ticket keys that was replaced or let go. */
  readonly secrets: { readonly retired: Watch<number> };
  readonly sweep: MemorySweep;
  readonly clock: Clock;
}

export function sweepRetiredKeys({ svids, node, secrets, sweep, clock }: KeyMemoryDeps): Closable {
  let timer: Timer | undefined;
  let nextMs = 0;
  const run = (): void => {
    timer = undefined;
    const startMs = clock.monotonicMs();
    sweep();
    const endMs = clock.monotonicMs();
    const restMs = Math.max(restMsMin, (endMs - startMs) * restShare);
    nextMs = endMs + Math.min(restMs, restMsMax);
  };
  const soon = (): void => {
    timer ??= clock.after(Math.max(settleMs, nextMs - clock.monotonicMs()), run);
  };
  let before = svids.current();
  const stops = [
    node.subscribe(soon),
    secrets.retired.subscribe(soon),
    svids.subscribe((after) => {
      // A first certificate retires none.
      if ([...before].some(([id, held]) => after.get(id) !== held)) soon();
      before = after;
    }),
  ];
  return {
    async close() {
      for (const stop of stops) stop();
      timer?.cancel();
    },
  };
}

// By then a successor has been written to every client that reads, and nothing refers to what was before.
const settleMs = 1000;
// Collecting stops the agent for some tens of milliseconds: not for every certificate of a busy node.
const restMsMin = 10_000;
// A big heap takes longer, and is swept less often…
const restShare = 100;
// …but so often that no retired key is kept for longer than half a minute.
const restMsMax = 28_000;
