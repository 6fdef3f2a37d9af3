/** The agent as a source of secrets for SDS. */

import type { Watch } from '../core/index.ts';
import type { Caller } from '../rpc/index.ts';
import type { SecretSource } from '../sds-server/index.ts';
import type { TrustDomain } from '../spiffe/index.ts';
import type { CaState } from './ca-state.ts';
import { ConnectionSecrets } from './secrets/connection-secrets.ts';
import type { HeldSecrets } from './secrets/held-secrets.ts';
import type { CallerIdentitiesSource } from './workload/caller-identities.ts';
import { whenClosed } from './workload/when-closed.ts';

/** A caller without a registration entry sees nothing, not even `ROOTCA`, until it has one. */
export function createAgentSecretSource(deps: {
  readonly identities: CallerIdentitiesSource;
  readonly held: HeldSecrets;
  readonly state: Watch<CaState | undefined>;
  readonly trustDomain: TrustDomain;
}): SecretSource {
  // All streams of a connection share one set.
  const connections = new Map<string, ConnectionSecrets>();
  const of = (caller: Caller, secrets: () => ConnectionSecrets): ConnectionSecrets => {
    const known = connections.get(caller.connection);
    if (known !== undefined) return known;
    const made = secrets();
    connections.set(caller.connection, made);
    whenClosed(caller.closed, () => {
      connections.delete(caller.connection);
      made.close();
    });
    return made;
  };
  return {
    async watch(caller) {
      const identities = await deps.identities.identitiesOf(caller);
      return of(caller, () => new ConnectionSecrets(identities, deps)).sets;
    },
    // Only streams want anything, and each has watched before.
    want: (caller, names) => connections.get(caller.connection)?.want(names),
  };
}
