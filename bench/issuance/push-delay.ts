/**
 * How long a push to a node takes while a thousand requests are under way, and how long in quiet: from an
 * operator's asking for an entry to its arrival at the node. Two writes of the disk are in both.
 */

import type { Candidate } from '../measurement.ts';
import type { BenchNode } from './bench-node.ts';
import { requestAt } from './requests.ts';

export function pushDelay(node: BenchNode, requests: readonly Uint8Array[]): Candidate {
  return {
    name: 'push during a burst of 1000',
    async measure() {
      const quiet: number[] = [];
      for (let push = 0; push < quietPushes; push += 1) quiet.push(await node.pushDelayMs());
      const burst = { isOver: false };
      const calls = Array.from({ length: callsInBurst }, (_, call) =>
        node.sign(
          Array.from({ length: itemsPerCall }, (__, item) =>
            requestAt(requests, call * itemsPerCall + item),
          ),
        ),
      );
      const ended = Promise.all(calls).finally(() => {
        burst.isOver = true;
      });
      const during: number[] = [];
      while (!burst.isOver) during.push(await node.pushDelayMs());
      await ended;
      // The last one may have ended after the burst.
      if (during.length > 1) during.pop();
      const figures = (values: readonly number[]) => ({
        pushMsMedian: values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0,
        pushMsMax: Math.max(...values),
      });
      return [
        { row: 'push to a node: quiet', figures: figures(quiet) },
        { row: 'push to a node: 1000 requests under way', figures: figures(during) },
      ];
    },
  };
}

const quietPushes = 20;
// The largest call has 256.
const callsInBurst = 4;
const itemsPerCall = 250;
