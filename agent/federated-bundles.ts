/** The bundles of other trust domains, as the CA pushes them: each known by its text, the last good one kept. */

import { describeError, equalBytes, type Logger, utf8Text } from '../core/index.ts';
import {
  type Bundle,
  BundleError,
  type BundleSet,
  parseBundle,
  parseTrustDomain,
  type TrustDomain,
  TrustDomainError,
} from '../spiffe/index.ts';

export interface FederatedBundle {
  readonly bundle: Bundle;
  readonly text: Uint8Array;
}

/** The same value as long as no text changed, so that nobody sees a change that is none. */
export type FederatedBundles = ReadonlyMap<TrustDomain, FederatedBundle>;

/** A bundle that cannot be read leaves the one before in force; the own domain's does not come this way. */
export function readFederatedBundles(
  pushed: Readonly<Record<string, Uint8Array>>,
  own: TrustDomain,
  known: FederatedBundles,
  log: Logger,
): FederatedBundles {
  const next = new Map<TrustDomain, FederatedBundle>();
  for (const [name, text] of Object.entries(pushed).slice(0, domainsMax)) {
    const read = readOne(name, text, own, known, log);
    if (read !== undefined) next.set(read.bundle.trustDomain, read);
  }
  const isSame =
    next.size === known.size && [...next].every(([name, each]) => known.get(name) === each);
  return isSame ? known : next;
}

function readOne(
  name: string,
  text: Uint8Array,
  own: TrustDomain,
  known: FederatedBundles,
  log: Logger,
): FederatedBundle | undefined {
  let before: FederatedBundle | undefined;
  try {
    const trustDomain = parseTrustDomain(name);
    // Trust in ourselves stands on our own bundle alone.
    if (trustDomain === own) return undefined;
    before = known.get(trustDomain);
    if (before !== undefined && equalBytes(before.text, text)) return before;
    const json = utf8Text(text);
    if (json === undefined) throw new BundleError('bundle_json', 'the bundle is not text');
    return { bundle: parseBundle(json, trustDomain), text: new Uint8Array(text) };
  } catch (error) {
    if (!(error instanceof BundleError || error instanceof TrustDomainError)) throw error;
    log.warn('a bundle of another trust domain is left out', {
      trustDomain: name.slice(0, nameLengthMax),
      reason: describeError(error),
    });
    return before;
  }
}

/**
 * What a workload may know of trust: its own domain's bundle and those its entries federate with. One value
 * for all workloads that see the same, so that what is encoded of it is encoded once.
 */
export function bundlesSeen(
  own: BundleSet,
  federated: FederatedBundles,
  names: readonly TrustDomain[],
): BundleSet {
  const seen = [...new Set(names)].filter((name) => federated.has(name)).toSorted();
  if (seen.length === 0) return own;
  const byFederated = sets.get(own) ?? new WeakMap<FederatedBundles, Map<string, BundleSet>>();
  sets.set(own, byFederated);
  const byNames = byFederated.get(federated) ?? new Map<string, BundleSet>();
  byFederated.set(federated, byNames);
  const key = seen.join(' ');
  const set =
    byNames.get(key) ?? new Map([...own, ...seen.flatMap((name) => pairOf(federated, name))]);
  byNames.set(key, set);
  return set;
}

function pairOf(federated: FederatedBundles, name: TrustDomain): [TrustDomain, Bundle][] {
  const found = federated.get(name);
  return found === undefined ? [] : [[name, found.bundle]];
}

export const noFederatedBundles: FederatedBundles = new Map();

const sets = new WeakMap<BundleSet, WeakMap<FederatedBundles, Map<string, BundleSet>>>();
// As many as the CA keeps.
const domainsMax = 256;
const nameLengthMax = 80;
