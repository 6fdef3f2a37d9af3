/** Measuring work that this process does itself: CPU time of all its threads per operation. */

import { systemClock } from '../core/index.ts';
import type { Candidate, Figures } from './measurement.ts';

export interface Operation {
  readonly name: string;
  /** Does the work once; `at` counts up, so that inputs can take turns. */
  run(at: number): unknown;
  /** How many runs are begun before the first is awaited. */
  readonly inFlight: number;
}

export function inProcess(operation: Operation): Candidate {
  let at = 0;
  const runFor = async (milliseconds: number): Promise<number> => {
    const end = systemClock.monotonicMs() + milliseconds;
    const first = at;
    const lane = async (): Promise<void> => {
      do await operation.run(at++);
      while (systemClock.monotonicMs() < end);
    };
    await Promise.all(Array.from({ length: operation.inFlight }, lane));
    return at - first;
  };
  return {
    name: operation.name,
    async measure(seconds) {
      // The first runs compile; a fifth of the time has them done, even after other work has been between.
      await runFor(seconds * 200);
      const before = process.cpuUsage();
      const operations = await runFor(seconds * 1000);
      const { user, system } = process.cpuUsage(before);
      return [{ row: operation.name, figures: perOperation(user + system, operations) }];
    },
  };
}

/** The two ways to say what an operation costs. */
export function perOperation(cpuMicros: number, operations: number): Figures {
  return {
    cpuMicrosPerOperation: cpuMicros / operations,
    operationsPerCpuSecond: (operations / cpuMicros) * 1e6,
  };
}
