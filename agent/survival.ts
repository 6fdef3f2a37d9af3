/** How long this agent can go on without its CA: until the first of the certificates that it serves ends. */

import { type Clock, type Closable, type Timer, type Watch, WatchSource } from '../core/index.ts';
import type { NodeSvid } from './node-svid.ts';
import type { EntrySvid, EntrySvids } from './svid/entry-svid.ts';

export interface Survival {
  /**
   * `ending`: a certificate has not been renewed in time, and the end is near. It comes before the end,
   * so that whoever watches can act while all still works.
   */
  readonly state: 'fine' | 'ending';
  /** The earliest end of what is served; undefined while nothing is. */
  readonly survivesUntilMs: number | undefined;
  /** Whose certificate ends first. */
  readonly first: string | undefined;
  /** When `state` turns, if nothing is renewed. */
  readonly endingAtMs: number | undefined;
  /** The node's own: after it the agent must be attested anew before it can ask for anything. */
  readonly nodeUntilMs: number;
}

export interface SurvivalDeps {
  readonly svids: Watch<EntrySvids>;
  readonly node: Watch<NodeSvid>;
  readonly clock: Clock;
}

/** A value that is told anew whenever something is issued, renewed or withdrawn, and when `state` turns. */
export function watchSurvival(
  deps: SurvivalDeps,
): Closable & { readonly survival: Watch<Survival> } {
  const survival = new WatchSource(survivalOf(deps));
  let turn: Timer | undefined;
  const refresh = (): void => {
    turn?.cancel();
    const next = survivalOf(deps);
    if (JSON.stringify(next) !== JSON.stringify(survival.current())) survival.set(next);
    if (next.state === 'ending' || next.endingAtMs === undefined) return;
    // Wall time may jump, and no timer lasts for months.
    const waitMs = Math.min(next.endingAtMs - deps.clock.wallMs(), recheckMs);
    turn = deps.clock.after(waitMs, refresh);
  };
  const stops = [deps.svids.subscribe(refresh), deps.node.subscribe(refresh)];
  refresh();
  return {
    survival,
    async close() {
      for (const stop of stops) stop();
      turn?.cancel();
    },
  };
}

export function survivalOf({ svids, node, clock }: SurvivalDeps): Survival {
  let first: EntrySvid | undefined;
  let endingAtMs = Number.POSITIVE_INFINITY;
  for (const held of svids.current().values()) {
    if (first === undefined || held.notAfterMs < first.notAfterMs) first = held;
    endingAtMs = Math.min(endingAtMs, held.notAfterMs - marginMs(held));
  }
  return {
    state: clock.wallMs() >= endingAtMs ? 'ending' : 'fine',
    survivesUntilMs: first?.notAfterMs,
    first: first?.svid.id,
    endingAtMs: first === undefined ? undefined : endingAtMs,
    nodeUntilMs: node.current().notAfterMs,
  };
}

function marginMs({ svid, notAfterMs, issuedAtMs }: EntrySvid): number {
  // Of the life that it had in use: a certificate may be dated back by as much again.
  const lifeMs = notAfterMs - (issuedAtMs ?? svid.chain[0]?.notBeforeMs ?? notAfterMs);
  return Math.min(marginMsMax, lifeMs * marginShare);
}

// Renewal begins at half life, give or take a tenth: with a fifth left some dozens of tries have failed.
const marginShare = 0.2;
// Of a certificate that lives for days no day is needed to act.
const marginMsMax = 30 * 60_000;
const recheckMs = 60_000;
