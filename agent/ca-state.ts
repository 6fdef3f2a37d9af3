/** What the CA has pushed to this node: entries, bundle, the root now in use. */

import type { Derivable, Entry, SyncResponse } from '../api/index.ts';
import { equalBytes, type Logger, utf8Text } from '../core/index.ts';
import {
  type BundleSet,
  parseBundle,
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  SpiffeIdError,
  type TrustDomain,
  TrustDomainError,
  trustDomainOf,
} from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
import {
  type FederatedBundles,
  noFederatedBundles,
  readFederatedBundles,
} from './federated-bundles.ts';
import { readSecretHeads, type SecretHeads } from './secrets/secret-heads.ts';
import { nothingRevoked, readRevocations, type RevocationKnowledge } from './read-crls.ts';

/** A registration entry as the node sees it. */
export interface AgentEntry {
  readonly id: string;
  readonly spiffeId: SpiffeId;
  readonly selectors: readonly string[];
  readonly hint: string;
  readonly priority: number;
  readonly createdAtMs: number;
  /** Changes whenever an SVID made before must be made anew. */
  readonly revision: bigint;
  /** The life that its certificates are to have; absent where the CA does not say. */
  readonly ttlMs?: number;
  /** Other trust domains whose bundles its workloads may have. */
  readonly federatesWith?: readonly TrustDomain[];
  /** What the CA is shown of the workload, for an entry that a rule derives from it. */
  readonly derivedFrom?: readonly string[];
}

/** A rule, as the CA cut it to this node: an entry for each workload that fits, its ID in parts. */
export type DerivableEntry = Omit<AgentEntry, 'spiffeId' | 'derivedFrom'> & {
  readonly parts: readonly DerivablePart[];
};

export type DerivablePart =
  | { readonly kind: 'text'; readonly text: string }
  /** What the one selector that begins with this goes on to say. */
  | { readonly kind: 'fact'; readonly prefix: string };

/** Bundles with the text they were read from, to know the same text again. */
export interface KnownBundles {
  readonly bundles: BundleSet;
  readonly bundleText: Uint8Array;
}

/** `bundles` is the same value as long as the text is the same, so that nobody sees a change that is none. */
export interface CaState extends KnownBundles, RevocationKnowledge {
  readonly revision: bigint;
  readonly trustDomain: TrustDomain;
  readonly entries: readonly AgentEntry[];
  /** Identities that workloads derive from what the agent attests of them. */
  readonly derivables?: readonly DerivableEntry[];
  /** Of other trust domains; `bundles` has the own one's alone. */
  readonly federated?: FederatedBundles;
  /** Named secrets that its entries may have, by name. */
  readonly secretHeads?: SecretHeads;
  /** Hex key id of the root under which new SVIDs are issued, or empty. */
  readonly activeRootKeyId: string;
  /** Hex key ids of authorities that are not to be relied on: what stands under them is made anew at once. */
  readonly taintedKeyIds?: ReadonlySet<string>;
}

/**
 * The state in a push. Throws {@link AgentError} if the bundle cannot be read: without it the state
 * must not be applied. An entry that cannot be read is left out and told of; it harms no other.
 */
export function readCaState(
  message: SyncResponse,
  trustDomain: TrustDomain,
  known: KnownBundles & Partial<RevocationKnowledge> & Pick<CaState, 'federated'>,
  log: Logger,
): CaState {
  const isKnown = equalBytes(known.bundleText, message.bundle);
  const bundleText = isKnown ? known.bundleText : new Uint8Array(message.bundle);
  return {
    revision: message.revision,
    trustDomain,
    entries: message.entries.flatMap((entry) => readEntry(entry, trustDomain, log) ?? []),
    derivables: message.derivables
      .slice(0, derivablesMax)
      .flatMap((each) => readDerivable(each, trustDomain, log) ?? []),
    bundles: isKnown ? known.bundles : bundlesOf(bundleText, trustDomain),
    bundleText,
    federated: readFederatedBundles(
      message.federatedBundles,
      trustDomain,
      known.federated ?? noFederatedBundles,
      log,
    ),
    secretHeads: readSecretHeads(message),
    activeRootKeyId: message.activeRootKeyId,
    ...readRevocations(message, { ...nothingRevoked, ...known }, log),
    taintedKeyIds: new Set(message.taintedKeyIds.slice(0, taintedMax)),
  };
}

/** The bundle set that holds only the bundle in `text`. Throws {@link AgentError}. */
export function bundlesOf(text: Uint8Array, trustDomain: TrustDomain): BundleSet {
  const json = utf8Text(text);
  if (json === undefined) {
    throw new AgentError('sync_invalid', 'internal', 'the CA sent a bundle that is not text');
  }
  try {
    return new Map([[trustDomain, parseBundle(json, trustDomain)]]);
  } catch (error) {
    throw new AgentError('sync_invalid', 'internal', 'the CA sent a bundle that is not valid', {
      cause: error,
    });
  }
}

function readEntry(entry: Entry, trustDomain: TrustDomain, log: Logger): AgentEntry | undefined {
  const skip = (reason: string): undefined => {
    log.warn('a registration entry is left out', { entry: entry.id, reason });
  };
  // An entry without selectors would match every process of the machine.
  if (entry.selectors.length === 0) return skip('it has no selectors');
  try {
    const spiffeId = parseSpiffeId(entry.spiffeId);
    if (trustDomainOf(spiffeId) !== trustDomain) return skip(`${spiffeId} is of another domain`);
    return {
      id: entry.id,
      spiffeId,
      selectors: entry.selectors,
      hint: entry.hint,
      priority: entry.priority,
      createdAtMs: Number(entry.createdAtMs),
      revision: entry.revision,
      federatesWith: entry.federatesWith.map(parseTrustDomain),
      ...lifeOf(entry.x509SvidTtlMs),
    };
  } catch (error) {
    if (!(error instanceof SpiffeIdError || error instanceof TrustDomainError)) throw error;
    return skip(error.message);
  }
}

function readDerivable(
  derivable: Derivable,
  trustDomain: TrustDomain,
  log: Logger,
): DerivableEntry | undefined {
  const { id, selectors, parts, hint, priority, createdAtMs, revision, x509SvidTtlMs } = derivable;
  const federatesWith = trustDomainsIn(derivable.federatesWith);
  const read = parts.flatMap(({ part }): readonly DerivablePart[] => {
    if (part?.$case === 'text') return [{ kind: 'text', text: part.value }];
    return part?.$case === 'fact' && part.value !== ''
      ? [{ kind: 'fact', prefix: part.value }]
      : [];
  });
  const [first] = read;
  const isOurs = first?.kind === 'text' && first.text.startsWith(`spiffe://${trustDomain}/`);
  // Without conditions it would fit every process of the machine; a part that is not understood may be any.
  const isRead = read.length === parts.length && federatesWith !== undefined;
  if (selectors.length === 0 || !isRead || !isOurs) {
    log.warn('a rule of the CA is left out', { rule: id });
    return undefined;
  }
  return {
    id,
    selectors,
    parts: read,
    hint,
    priority,
    createdAtMs: Number(createdAtMs),
    revision,
    federatesWith,
    ...lifeOf(x509SvidTtlMs),
  };
}

function trustDomainsIn(names: readonly string[]): readonly TrustDomain[] | undefined {
  try {
    return names.map(parseTrustDomain);
  } catch (error) {
    if (!(error instanceof TrustDomainError)) throw error;
    return undefined;
  }
}

function lifeOf(ttlMs: bigint): { readonly ttlMs?: number } {
  return ttlMs > 0n ? { ttlMs: Number(ttlMs) } : {};
}

// A CA has at most 256 rules.
const derivablesMax = 1024;
// A CA remembers some tens of authorities; the bound only stops nonsense.
const taintedMax = 1024;
