/**
 * What one push holds. Nodes that may serve the very same entries have one state in common: it is made
 * once, compared once and, by `entry-messages.ts`, encoded once for all of them.
 */

import type { SecretHead, SyncResponse } from '../../api/index.ts';
import type { Trust } from '../authority/trust.ts';
import type { ForeignBundleSet } from '../federation/foreign-bundles.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import type { DerivableIdentity } from '../registry/workload-identity.ts';
import type { RevocationState } from '../revocation/revocation.ts';
import { derivableMessage } from './derivable-message.ts';
import { entryMessage } from './entry-messages.ts';
import { federatedMessages } from './federated-messages.ts';
import { Remembered } from './remembered.ts';

export interface StateParts {
  readonly trust: Trust;
  readonly entries: readonly RegistrationEntry[];
  readonly derivables: readonly DerivableIdentity[];
  readonly secrets: readonly SecretHead[];
  readonly revocation: RevocationState;
  readonly foreign: ForeignBundleSet | undefined;
  readonly x509SvidMs: number;
}

export interface NodeState {
  /** Equal for equal states of one node. Two nodes may have it in common and differ all the same. */
  readonly content: string;
  message(revision: bigint): SyncResponse;
}

/** The same object for the same parts, where they are those of several nodes. */
export function nodeState(parts: StateParts): NodeState {
  // What a rule makes of a node is that node's alone, and in an array of its own.
  if (parts.derivables.length > 0 || parts.entries.length === 0) return makeState(parts);
  const heads = headsText(parts.secrets);
  const known = shared.get(parts.entries);
  if (known !== undefined && known.heads === heads && areSame(known.parts, parts)) {
    return known.state;
  }
  const state = makeState(parts, heads);
  shared.set(parts.entries, { parts, heads, state });
  return state;
}

/** All but what is compared by its text: objects that never change. */
function areSame(left: StateParts, right: StateParts): boolean {
  return (
    left.trust === right.trust &&
    left.revocation === right.revocation &&
    left.foreign === right.foreign &&
    left.x509SvidMs === right.x509SvidMs
  );
}

function makeState(parts: StateParts, heads = headsText(parts.secrets)): NodeState {
  const { trust, entries, derivables, secrets, revocation, foreign } = parts;
  const federated = federatedMessages(foreign, [...entries, ...derivables]);
  let last: SyncResponse | undefined;
  return {
    content: `${revocation.version} ${contentOf(trust, [...entries, ...derivables])} ${heads} ${federated.content}`,
    message(revision) {
      if (last?.revision === revision) return last;
      last = {
        revision,
        entries: entries.map((entry) => entryMessage(entry, parts.x509SvidMs)),
        bundle: Buffer.from(trust.bundleDocument),
        activeRootKeyId: trust.activeRoot.id,
        crls: revocation.crls.map((der) => Buffer.from(der)),
        revokedSerials: [...revocation.serials],
        taintedKeyIds: [...trust.taintedKeyIds],
        secrets: [...secrets],
        federatedBundles: federated.federatedBundles,
        derivables: derivables.map((each) => derivableMessage(each, parts.x509SvidMs)),
      };
      return last;
    },
  };
}

/** Equal for equal states: an entry's revision changes with every change of the entry. */
function contentOf(
  trust: Trust,
  entries: readonly { readonly id: string; readonly revision: number }[],
): string {
  const parts = entries.map(({ id, revision }) => `${id}:${revision}`);
  const tainted = trust.taintedKeyIds.join(',');
  return `${trust.bundle.sequence} ${trust.activeRoot.id} ${tainted} ${parts.join(' ')}`;
}

function headsText(heads: readonly SecretHead[]): string {
  return heads
    .map(({ name, version, entryIds }) => `${name}=${version}:${entryIds.join(',')}`)
    .join(' ');
}

interface SharedState {
  readonly parts: StateParts;
  readonly heads: string;
  readonly state: NodeState;
}

// A list of entries goes when the index has another in its place, and its state with it. In a push most
// nodes share a few lists; where each has its own, there is nothing to share.
const sharedMax = 64;
const shared = new Remembered<readonly RegistrationEntry[], SharedState>(sharedMax);
