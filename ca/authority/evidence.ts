/**
 * The evidence that a root has arrived: what nodes have applied and what their SDS clients have
 * acknowledged, against the share that the operator asks for.
 */

import type { Arrival } from './authority.ts';

/** How far the bundle with one root has got, by what nodes and their SDS clients acknowledged. */
export interface Propagation {
  readonly nodes: number;
  readonly nodesApplied: number;
  readonly subscribers: number;
  readonly acknowledged: number;
}

/** The share of the fleet that has it: the smaller of the two counts, because either alone strands somebody. */
export function arrivedShare(propagation: Propagation): number {
  const { nodes, nodesApplied, subscribers, acknowledged } = propagation;
  return Math.min(shareOf(nodesApplied, nodes), shareOf(acknowledged, subscribers));
}

export function hasArrived(propagation: Propagation, threshold: number): boolean {
  return arrivedShare(propagation) >= threshold;
}

/** Both counts and what is asked, in one line. */
export function formatPropagation(propagation: Propagation, threshold: number): string {
  const { nodes, nodesApplied, subscribers, acknowledged } = propagation;
  const asked = threshold === 1 ? '' : `; ${Math.round(threshold * 1000) / 10} % are asked for`;
  return (
    `applied by ${nodesApplied} of ${nodes} nodes and acknowledged by ` +
    `${acknowledged} of ${subscribers} SDS subscribers${asked}`
  );
}

/** The arrivals with those that `share` adds; undefined if it adds none. An empty fleet measures nothing. */
export function withArrivals(
  arrivals: readonly Arrival[],
  propagation: Propagation,
  nowMs: number,
): readonly Arrival[] | undefined {
  if (propagation.nodes === 0) return undefined;
  const share = arrivedShare(propagation);
  const reached = measuredShares.filter(
    (each) => each <= share && !arrivals.some((known) => known.share === each),
  );
  if (reached.length === 0) return undefined;
  return [...arrivals, ...reached.map((each) => ({ share: each, atMs: nowMs }))];
}

// Nobody is missing from an empty fleet.
function shareOf(part: number, whole: number): number {
  return whole === 0 ? 1 : part / whole;
}

// Enough to see a slow tail, and few enough that each is worth a write.
const measuredShares: readonly number[] = [0.5, 0.9, 0.99, 1];
