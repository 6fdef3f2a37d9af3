/** The agent as a source of secrets for SDS. */

import type { Watch } from '../core/index.ts';
import type { SecretSet, SecretSource } from '../sds-server/index.ts';
import type { TrustDomain } from '../spiffe/index.ts';
import type { CallerIdentities, CallerIdentitiesSource } from './workload/caller-identities.ts';

/** A caller without a registration entry sees nothing, not even `ROOTCA`, until it has one. */
export function createAgentSecretSource(
  source: CallerIdentitiesSource,
  trustDomain: TrustDomain,
): SecretSource {
  // Per value, so that all streams of a connection share one set.
  const sets = new WeakMap<CallerIdentities, SecretSet>();
  const setOf = (identities: CallerIdentities): SecretSet => {
    const known = sets.get(identities);
    if (known !== undefined) return known;
    const set = secretSetOf(identities, trustDomain);
    sets.set(identities, set);
    return set;
  };
  return {
    async watch(caller) {
      const identities = await source.identitiesOf(caller);
      const secrets: Watch<SecretSet> = {
        current: () => setOf(identities.current()),
        subscribe: (listener) => identities.subscribe((value) => listener(setOf(value))),
      };
      return secrets;
    },
  };
}

function secretSetOf(identities: CallerIdentities, trustDomain: TrustDomain): SecretSet {
  if (identities.kind === 'starting') {
    return { trustDomain, svids: [], defaultSvid: undefined, bundles: new Map() };
  }
  return {
    trustDomain,
    svids: identities.identities.flatMap(({ svid }) => svid ?? []),
    defaultSvid: identities.identities[0]?.svid,
    bundles: identities.bundles,
    crls: identities.crls,
  };
}
