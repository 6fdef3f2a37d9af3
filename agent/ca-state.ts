/** What the CA has pushed to this node: entries, bundle, the root now in use. */

import { isDeepStrictEqual } from 'node:util';
import type { SyncResponse } from '../api/index.ts';
import { equalBytes, type Logger, utf8Text } from '../core/index.ts';
import { type BundleSet, parseBundle, type SpiffeId, type TrustDomain } from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
import {
  type FederatedBundles,
  noFederatedBundles,
  readFederatedBundles,
} from './federated-bundles.ts';
import { readSecretHeads, type SecretHeads } from './secrets/secret-heads.ts';
import { readDerivables, readEntries } from './read-entries.ts';
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

/** What was there before: where a push says the same, the value stays the same, and nobody looks at it again. */
export type KnownState = KnownBundles &
  Partial<RevocationKnowledge & Pick<CaState, 'entries' | 'derivables'>> &
  Pick<CaState, 'federated' | 'taintedKeyIds'>;

/**
 * The state in a push. Throws {@link AgentError} if the bundle cannot be read: without it the state
 * must not be applied. An entry that cannot be read is left out and told of; it harms no other.
 */
export function readCaState(
  message: SyncResponse,
  trustDomain: TrustDomain,
  known: KnownState,
  log: Logger,
): CaState {
  const isKnown = equalBytes(known.bundleText, message.bundle);
  const bundleText = isKnown ? known.bundleText : new Uint8Array(message.bundle);
  return {
    revision: message.revision,
    trustDomain,
    entries: readEntries(message.entries, trustDomain, known.entries ?? [], log),
    derivables: readDerivables(message.derivables, trustDomain, known.derivables ?? [], log),
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
    taintedKeyIds: readTainted(message.taintedKeyIds, known.taintedKeyIds),
  };
}

function readTainted(
  keyIds: readonly string[],
  known: ReadonlySet<string> | undefined,
): ReadonlySet<string> {
  const read = new Set(keyIds.slice(0, taintedMax));
  return known !== undefined && isDeepStrictEqual(read, known) ? known : read;
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

// A CA remembers some tens of authorities; the bound only stops nonsense.
const taintedMax = 1024;
