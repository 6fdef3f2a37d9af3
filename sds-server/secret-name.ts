/**
 * What a resource name means. The names are the union of what Istio and SPIRE serve, so that an existing
 * Envoy configuration keeps working: `default`, `ROOTCA`, `ALL`, a SPIFFE ID, a trust domain's ID; and ours:
 * `session-ticket-keys`, and the name of a secret that an operator stored.
 */

import { isStoredSecretName } from '../api/index.ts';
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
import type { KeyedSvid, NamedSecret, SecretSet, TicketKeys } from './secret-source.ts';

/** The kind of a name is known without any secret at hand. */
export type SecretName =
  | { readonly kind: 'default_svid' }
  | { readonly kind: 'svid'; readonly id: SpiffeId }
  | { readonly kind: 'own_bundle' }
  | { readonly kind: 'bundle'; readonly trustDomain: TrustDomain }
  | { readonly kind: 'all_bundles' }
  /** Of the caller's default identity. */
  | { readonly kind: 'ticket_keys' }
  /** What an operator stored. */
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'unknown'; readonly reason: string };

/** What a name leads to among the secrets of one caller. */
export type FoundSecret =
  | { readonly kind: 'svid'; readonly svid: KeyedSvid }
  | { readonly kind: 'bundle'; readonly bundle: Bundle; readonly crls?: readonly Uint8Array[] }
  | {
      readonly kind: 'all_bundles';
      readonly bundles: BundleSet;
      readonly crls?: readonly Uint8Array[];
    }
  | { readonly kind: 'ticket_keys'; readonly ticketKeys: TicketKeys }
  | { readonly kind: 'named'; readonly secret: NamedSecret };

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
    case ticketKeysName:
      return { kind: 'ticket_keys' };
    default:
      return target.startsWith(idPrefix) ? resolveId(target) : resolveNamed(target);
  }
}

export type NameResolver = (name: string) => SecretName;

/** As {@link resolveSecretName}, but remembers: each change asks again for each name of each stream. */
export function createNameResolver(aliases: SecretAliases): NameResolver {
  const known = new Map<string, SecretName>();
  return (name) => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const resolved = resolveSecretName(name, aliases);
    if (name.length > rememberedLengthMax) return resolved;
    if (known.size >= rememberedMax) known.clear();
    known.set(name, resolved);
    return resolved;
  };
}

/**
 * The name under which a source knows the secret: `default`, a SPIFFE ID, `session-ticket-keys` or the name that
 * an operator gave. Undefined for an unknown name and for roots, which are never fetched on demand.
 */
export function canonicalName(name: SecretName): string | undefined {
  if (name.kind === 'default_svid') return 'default';
  return name.kind === 'svid' ? name.id : wantedName(name);
}

/** What a source is asked to fetch for this name, or undefined: the other secrets it has anyway. */
export function wantedName(name: SecretName): string | undefined {
  if (name.kind === 'ticket_keys') return ticketKeysName;
  return name.kind === 'named' ? name.name : undefined;
}

/** True if a secret that {@link findSecret} does not find is on its way, so that a client had better wait for it. */
export function isPending(secrets: SecretSet, name: SecretName): boolean {
  if (name.kind === 'unknown') return false;
  if (secrets.pending === 'everything') return true;
  const canonical = canonicalName(name);
  if (canonical === undefined) return false;
  if (secrets.pending?.has(canonical) === true) return true;
  return wantedName(name) !== undefined && secrets.denied?.has(canonical) !== true;
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
    case 'ticket_keys':
      return secrets.ticketKeys === undefined
        ? undefined
        : { kind: 'ticket_keys', ticketKeys: secrets.ticketKeys };
    case 'named': {
      const secret = secrets.named?.get(name.name);
      return secret === undefined ? undefined : { kind: 'named', secret };
    }
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

/** Whatever is no name of ours is one of the operator's; `secret:` says so where an alias has taken the name. */
function resolveNamed(text: string): SecretName {
  // Istio's names for files: an agent has none to give, and an operator's secret must not pass for one.
  if (filePrefixes.some((prefix) => text.startsWith(prefix))) {
    return { kind: 'unknown', reason: 'secrets of files are not served' };
  }
  const name = text.startsWith(namedPrefix) ? text.slice(namedPrefix.length) : text;
  if (!isStoredSecretName(name)) return { kind: 'unknown', reason: 'no secret may be called so' };
  return { kind: 'named', name };
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

export const ticketKeysName = 'session-ticket-keys';
const idPrefix = 'spiffe:';
const namedPrefix = 'secret:';
const filePrefixes = ['file-root:', 'file-cert:'];
// 2 MiB at most, whatever clients ask for; names in use come back at once.
const rememberedMax = 8192;
const rememberedLengthMax = 256;
