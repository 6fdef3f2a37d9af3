/** Which sidecars of the fleet hold which secret, since when, as their nodes report it. Pure. */

import { type SecretHolding, SecretHoldingState } from '../../api/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';

/** The sidecars of one identity on one node, and how they stand to one version of one secret. */
export interface ReportedHolding {
  readonly nodeId: SpiffeId;
  readonly spiffeId: string;
  readonly name: string;
  readonly version: string;
  readonly state: 'acknowledged' | 'waiting' | 'refused';
  readonly clients: number;
  readonly sinceMs: number;
}

export interface FleetHoldings {
  /** At most {@link shownMax}: whoever refuses first, then who has not answered, then who has theirs for longest. */
  readonly holdings: readonly ReportedHolding[];
  /** How many more there are. */
  readonly more: number;
}

/** What one node tells. */
export interface NodeHoldings {
  readonly holdings: readonly SecretHolding[];
  readonly leftOut: number;
}

export const noHoldings: NodeHoldings = { holdings: [], leftOut: 0 };

/** A node's word, cut to what one node may tell. */
export function boundedHoldings({ holdings, leftOut }: NodeHoldings): NodeHoldings {
  return {
    holdings: holdings.slice(0, nodeHoldingsMax).map((holding) => ({
      ...holding,
      spiffeId: holding.spiffeId.slice(0, nameLengthMax),
      name: holding.name.slice(0, nameLengthMax),
      secretVersion: holding.secretVersion.slice(0, versionLengthMax),
    })),
    leftOut: Math.min(leftOut, leftOutMax),
  };
}

/** Of the nodes and identities that `accept` takes. */
export function fleetHoldings(
  nodes: Iterable<readonly [SpiffeId, NodeHoldings]>,
  accept: (nodeId: SpiffeId, spiffeId: string) => boolean,
): FleetHoldings {
  let best: ReportedHolding[] = [];
  let count = 0;
  let leftOut = 0;
  for (const [nodeId, told] of nodes) {
    if (accept(nodeId, '')) leftOut += told.leftOut;
    for (const {
      spiffeId,
      name,
      secretVersion,
      state: number,
      clients,
      sinceMs,
    } of told.holdings) {
      const state = states.get(number);
      if (state === undefined || !accept(nodeId, spiffeId)) continue;
      count += 1;
      const version = secretVersion;
      best.push({ nodeId, spiffeId, name, version, state, clients, sinceMs: Number(sinceMs) });
      // A fleet tells of a million; only the first are ever shown.
      if (best.length >= 2 * shownMax) best = firstOf(best);
    }
  }
  const holdings = firstOf(best);
  return { holdings, more: count + leftOut - holdings.length };
}

function firstOf(holdings: readonly ReportedHolding[]): ReportedHolding[] {
  return holdings
    .toSorted(
      (left, right) => order[left.state] - order[right.state] || left.sinceMs - right.sinceMs,
    )
    .slice(0, shownMax);
}

const states: ReadonlyMap<number, ReportedHolding['state']> = new Map([
  [SecretHoldingState.SECRET_HOLDING_STATE_ACKNOWLEDGED, 'acknowledged'],
  [SecretHoldingState.SECRET_HOLDING_STATE_WAITING, 'waiting'],
  [SecretHoldingState.SECRET_HOLDING_STATE_REFUSED, 'refused'],
]);
const order = { refused: 0, waiting: 1, acknowledged: 2 } as const;
// An agent sends at most as many.
const nodeHoldingsMax = 100;
// A SPIFFE ID is at most 2,048 bytes (SPIFFE-ID §2.4).
const nameLengthMax = 2048;
const versionLengthMax = 128;
// A number that no machine has; beyond it the sum would say nothing.
const leftOutMax = 100_000;
// What a person reads; a node or an identity can be asked for alone.
const shownMax = 100;
