/** The callers that are here now, by connection, with what each may have: for operators to be told of. */

import { type Watch, WatchSource } from '../../core/index.ts';
import type { Caller } from '../../rpc/index.ts';
import type { CallerIdentities, CallerIdentitiesSource } from '../workload/caller-identities.ts';
import { whenClosed } from '../workload/when-closed.ts';

export interface KnownCaller {
  readonly caller: Caller;
  readonly identities: Watch<CallerIdentities>;
}

export interface KnownCallers extends CallerIdentitiesSource {
  of(connection: string): KnownCaller | undefined;
  /** Its default identity; empty while it has none, or is not known. */
  spiffeIdOf(connection: string): string;
  /** How many have come and gone so far. */
  readonly moves: Watch<number>;
}

/** The same source, which remembers each caller for as long as its connection lives. */
export function createKnownCallers(source: CallerIdentitiesSource): KnownCallers {
  const known = new Map<string, KnownCaller>();
  const moves = new WatchSource(0);
  const moved = (): void => moves.set(moves.current() + 1);
  return {
    moves,
    async identitiesOf(caller) {
      const identities = await source.identitiesOf(caller);
      if (!known.has(caller.connection) && !caller.closed.aborted) {
        known.set(caller.connection, { caller, identities });
        moved();
        whenClosed(caller.closed, () => {
          known.delete(caller.connection);
          moved();
        });
      }
      return identities;
    },
    of: (connection) => known.get(connection),
    spiffeIdOf(connection) {
      const identities = known.get(connection)?.identities.current();
      return identities?.kind === 'known' ? (identities.identities[0]?.entry.spiffeId ?? '') : '';
    },
  };
}
