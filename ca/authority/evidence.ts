/**
 * The evidence that a root has arrived: what nodes have applied and what their SDS clients have
 * acknowledged, against the share that the operator asks for.
 */

import type { AuditedEvidence } from '../audit/event.ts';
import type { Arrival } from './authority.ts';

/** How far the bundle with one root has got, by what nodes and their SDS clients acknowledged. */
export interface Propagation {
  readonly nodes: number;
  readonly nodesApplied: number;
  readonly subscribers: number;
  readonly acknowledged: number;
  /**
   * The mean of the nodes' own shares of sidecars, of nodes that have any: each claims its counts itself, so
   * that no node weighs more than one. Without it the counts stand for themselves.
   */
  readonly sidecarShare?: number;
}

/** When the bundle with one key went out for the first time, and when what is known of it last changed. */
export interface PushTimes {
  readonly firstMs: number;
  readonly lastChangeMs: number;
}

/** The share of the fleet that has it: the smaller of the two counts, because either alone strands somebody. */
export function arrivedShare(propagation: Propagation): number {
  return Math.min(nodeShareOf(propagation), sidecarShareOf(propagation));
}

export function nodeShareOf({ nodes, nodesApplied }: Propagation): number {
  return shareOf(nodesApplied, nodes);
}

/** The share of sidecars as it is judged; nobody is missing where there are none. */
export function sidecarShareOf({ subscribers, acknowledged, sidecarShare }: Propagation): number {
  return sidecarShare ?? shareOf(acknowledged, subscribers);
}

export function hasArrived(propagation: Propagation, threshold: number): boolean {
  return arrivedShare(propagation) >= threshold;
}

/** As it stands in the audit log, with what was asked for. */
export function auditedEvidence(propagation: Propagation, threshold: number): AuditedEvidence {
  const { nodes, nodesApplied, subscribers, acknowledged } = propagation;
  const share = subscribers === 0 ? {} : { sidecarShare: sidecarShareOf(propagation) };
  return { nodes, nodesApplied, subscribers, acknowledged, ...share, threshold };
}

/** Both counts and what is asked, in one line. */
export function formatPropagation(propagation: Propagation, threshold: number): string {
  const { nodes, nodesApplied, subscribers, acknowledged } = propagation;
  const asked = threshold === 1 ? '' : `; ${percent(threshold)} are asked for`;
  return (
    `applied by ${nodesApplied} of ${nodes} nodes and acknowledged by ` +
    `${acknowledged} of ${subscribers} SDS subscribers${shareText(propagation)}${asked}`
  );
}

/** The share that is judged, where the sums would say another: each node weighs the same. */
function shareText(propagation: Propagation): string {
  const { subscribers, acknowledged } = propagation;
  const share = percent(sidecarShareOf(propagation));
  return share === percent(shareOf(acknowledged, subscribers)) ? '' : ` (${share} node by node)`;
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
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
