/** Which bundles of other trust domains a node is told of: those that its entries federate with. */

import { Buffer } from 'node:buffer';
import type { ForeignBundleSet } from '../federation/foreign-bundles.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';

export interface FederatedMessages {
  readonly federatedBundles: { [trustDomain: string]: Buffer };
  /** Equal for equal bundles. */
  readonly content: string;
}

export function federatedMessages(
  foreign: ForeignBundleSet | undefined,
  entries: readonly Pick<RegistrationEntry, 'federatesWith'>[],
): FederatedMessages {
  if (foreign === undefined || foreign.bundles.size === 0) return nothing;
  const { bundles } = foreign;
  const names = new Set(entries.flatMap(({ federatesWith }) => federatesWith));
  const known = [...names].toSorted().flatMap((name) => bundles.get(name) ?? []);
  return {
    federatedBundles: Object.fromEntries(
      known.map(({ bundle, bytes }) => [bundle.trustDomain, Buffer.from(bytes)]),
    ),
    content: known.map(({ bundle, sha256 }) => `${bundle.trustDomain}=${sha256}`).join(' '),
  };
}

const nothing: FederatedMessages = { federatedBundles: {}, content: '' };
