/**
 * When an agent is of no use any more: at once if the CA has shut its node out for good; otherwise, if the CA
 * does not take what the node shows, once nothing that it serves is good any longer.
 */

import { type Clock, type Closable, type Timer, type Watch } from '../core/index.ts';
import type { AgentError } from './agent-error.ts';
import type { EntrySvids } from './svid/entry-svid.ts';

export interface EndOfServiceDeps {
  /** Resolves if the CA has shut the node out for good. */
  readonly refused: Promise<AgentError>;
  /** Why the CA does not take what the node shows, as long as that is so. */
  readonly turnedAway: Watch<AgentError | undefined>;
  readonly svids: Watch<EntrySvids>;
  readonly clock: Clock;
}

/** `over` resolves with the reason; never while the CA has the node or is only away. */
export function watchEndOfService(
  deps: EndOfServiceDeps,
): Closable & { readonly over: Promise<AgentError> } {
  const { refused, turnedAway, svids, clock } = deps;
  let timer: Timer | undefined;
  let stop = (): void => {};
  const over = new Promise<AgentError>((resolve) => {
    void refused.then(resolve);
    const look = (): void => {
      timer?.cancel();
      const reason = turnedAway.current();
      if (reason === undefined) return;
      const ends = [...svids.current().values()].map(({ notAfterMs }) => notAfterMs);
      const leftMs = ends.reduce((last, end) => Math.max(last, end), 0) - clock.wallMs();
      if (leftMs <= 0) resolve(reason);
      else timer = clock.after(Math.min(leftMs, recheckMs), look);
    };
    const stops = [turnedAway.subscribe(look), svids.subscribe(look)];
    stop = (): void => stops.forEach((each) => each());
    look();
  });
  return {
    over,
    async close() {
      timer?.cancel();
      stop();
    },
  };
}

// Wall time may jump, and no timer lasts for months.
const recheckMs = 60_000;
