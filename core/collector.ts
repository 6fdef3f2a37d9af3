/** The runtime's garbage collector, for who knows better than it when to collect, and how much. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Collector {
  /** Finds whatever nobody refers to any more. Takes as long as the heap is large. */
  collect(): void;
  /** The one kind of collection that leaves the collector itself no more room than what lives now; two or three times as long. */
  giveBack(): void;
}

export function createCollector(): Collector {
  const collect = exposed();
  return {
    collect: () => void collect(),
    giveBack: () => void collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  };
}

/**
 * Answers what collects only what was made lately: half a millisecond. From here on no such collection of this process
 * is shared among threads: to wake them, and to wait for them, takes longer than the work.
 */
export function createYoungCollector(): () => void {
  setFlagsFromString('--no-parallel-scavenge');
  const collect = exposed();
  return () => void collect({ type: 'minor' });
}

/** So that it needs no flag on every command line, the flag is set here, for one context that nothing else runs in. */
function exposed(): (options?: Readonly<Record<string, string>>) => unknown {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect !== 'function') throw new TypeError('the runtime has no collector to ask');
  return (options) => {
    const answer: unknown = collect(options);
    return answer;
  };
}
