/** Clients that each ask again as soon as they have an answer. */

import { systemClock } from '../core/index.ts';

/** How many operations all lanes did in about that time; `ask` answers how many it did at once. */
export async function inLanes(
  lanes: number,
  milliseconds: number,
  ask: () => Promise<number>,
): Promise<number> {
  const end = systemClock.monotonicMs() + milliseconds;
  let operations = 0;
  const lane = async (): Promise<void> => {
    do {
      // Not `+=`: its left side would be read before the others are done.
      const done = await ask();
      operations += done;
    } while (systemClock.monotonicMs() < end);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return operations;
}
