/** What the CA has pushed to this node: entries, bundle, the root now in use. */

import type { Entry, SyncResponse } from '../api/index.ts';
import { equalBytes, type Logger, utf8Text } from '../core/index.ts';
import {
  type BundleSet,
  parseBundle,
  parseSpiffeId,
  type SpiffeId,
  SpiffeIdError,
  type TrustDomain,
  TrustDomainError,
  trustDomainOf,
} from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
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
}

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
  known: KnownBundles & Partial<RevocationKnowledge>,
  log: Logger,
): CaState {
  const isKnown = equalBytes(known.bundleText, message.bundle);
  const bundleText = isKnown ? known.bundleText : new Uint8Array(message.bundle);
  return {
    revision: message.revision,
    trustDomain,
    entries: message.entries.flatMap((entry) => readEntry(entry, trustDomain, log) ?? []),
    bundles: isKnown ? known.bundles : bundlesOf(bundleText, trustDomain),
    bundleText,
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
    };
  } catch (error) {
    if (!(error instanceof SpiffeIdError || error instanceof TrustDomainError)) throw error;
    return skip(error.message);
  }
}

// A CA remembers some tens of authorities; the bound only stops nonsense.
const taintedMax = 1024;
