/**
 * What a resource name means. The names are the union of what Istio and SPIRE serve, so that an existing
 * Envoy configuration keeps working: `default`, `ROOTCA`, `ALL`, a SPIFFE ID, a trust domain's ID.
 */

import {
  type Bundle,
  type BundleSet,
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  SpiffeIdError,
  spiffeIdOf,
  type TrustDomain,
  TrustDomainError,
  trustDomainOf,
} from '../spiffe/index.ts';
import type { KeyedSvid, SecretSet } from './secret-source.ts';

/** The kind of a name is known without any secret at hand. */
export type SecretName =
  | { readonly kind: 'default_svid' }
  | { readonly kind: 'svid'; readonly id: SpiffeId }
  | { readonly kind: 'own_bundle' }
  | { readonly kind: 'bundle'; readonly trustDomain: TrustDomain }
  | { readonly kind: 'all_bundles' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** What a name leads to among the secrets of one caller. */
export type FoundSecret =
  | { readonly kind: 'svid'; readonly svid: KeyedSvid }
  | { readonly kind: 'bundle'; readonly bundle: Bundle; readonly crls?: readonly Uint8Array[] }
  | {
      readonly kind: 'all_bundles';
      readonly bundles: BundleSet;
      readonly crls?: readonly Uint8Array[];
    };

/** Operator's own names, each for one of the names of {@link resolveSecretName}. */
export type SecretAliases = ReadonlyMap<string, string>;

export const noAliases: SecretAliases = new Map();

/** Never throws: an odd name is a name that nothing answers to. An alias is followed once. */
export function resolveSecretName(name: string, aliases: SecretAliases = noAliases): SecretName {
  const target = aliases.get(name) ?? name;
  switch (target) {
    case 'default':
      return { kind: 'default_svid' };
    case 'ROOTCA':
      return { kind: 'own_bundle' };
    case 'ALL':
      return { kind: 'all_bundles' };
    default:
      return resolveId(target);
  }
}

/** The secret, or undefined while it does not exist or for ever if this caller may not see it. */
export function findSecret(secrets: SecretSet, name: SecretName): FoundSecret | undefined {
  switch (name.kind) {
    case 'default_svid':
      return svidFound(secrets.defaultSvid);
    case 'svid':
      return svidFound(secrets.svids.find((svid) => svid.id === name.id));
    case 'own_bundle':
      return bundleFound(secrets, secrets.trustDomain);
    case 'bundle':
      return bundleFound(secrets, name.trustDomain);
    case 'all_bundles':
      return [...secrets.bundles.values()].some(hasRoots)
        ? { kind: 'all_bundles', bundles: secrets.bundles, ...crlsOf(secrets) }
        : undefined;
    case 'unknown':
      break;
  }
  return undefined;
}

/** One name for each secret of the set: what a request for everything asks for. */
export function namesOf(secrets: SecretSet): readonly string[] {
  const ids = secrets.svids.map((svid) => svid.id as string);
  const domains = [...secrets.bundles.values()].filter(hasRoots);
  return [...new Set([...ids, ...domains.map((bundle) => spiffeIdOf(bundle.trustDomain, ''))])];
}

/** True if the name stands for a validation context that holds the roots of `trustDomain`. */
export function coversTrustDomain(name: SecretName, trustDomain: TrustDomain): boolean {
  return (
    name.kind === 'own_bundle' ||
    name.kind === 'all_bundles' ||
    (name.kind === 'bundle' && name.trustDomain === trustDomain)
  );
}

/** Envoy is going to refuse an empty bundle, and it would mean "trust nobody" or "trust anybody": it is not ready. */
export function hasRoots(bundle: Bundle): boolean {
  return bundle.x509Authorities.length > 0;
}

function resolveId(text: string): SecretName {
  try {
    const id = parseSpiffeId(text);
    return pathOf(id) === ''
      ? { kind: 'bundle', trustDomain: trustDomainOf(id) }
      : { kind: 'svid', id };
  } catch (error) {
    if (!(error instanceof SpiffeIdError || error instanceof TrustDomainError)) throw error;
    return { kind: 'unknown', reason: error.message };
  }
}

function svidFound(svid: KeyedSvid | undefined): FoundSecret | undefined {
  return svid === undefined ? undefined : { kind: 'svid', svid };
}

function bundleFound(secrets: SecretSet, trustDomain: TrustDomain): FoundSecret | undefined {
  const bundle = secrets.bundles.get(trustDomain);
  if (bundle === undefined || !hasRoots(bundle)) return undefined;
  // The lists are those of our own authorities; they say nothing of another domain's.
  return {
    kind: 'bundle',
    bundle,
    ...(trustDomain === secrets.trustDomain ? crlsOf(secrets) : {}),
  };
}

function crlsOf({ crls = [] }: SecretSet): { readonly crls?: readonly Uint8Array[] } {
  return crls.length === 0 ? {} : { crls };
}
