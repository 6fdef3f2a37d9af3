/** The registry: entries, attested nodes and join tokens, kept in the store. */

import type { Clock, Random } from '../../core/index.ts';
import type { SpiffeId, TrustDomain } from '../../spiffe/index.ts';
import type { Store } from '../store/store.ts';
import type { AttestedNode } from './attested-node.ts';
import type { AppliedChange } from './apply-import.ts';
import type { EntryChange } from './entry-import.ts';
import { entryRegistry } from './entry-registry.ts';
import type { IdentityRule, RuleDraft } from './identity-rule.ts';
import type { JoinToken, JoinTokenVerdict } from './join-token.ts';
import { nodeRegistry } from './node-registry.ts';
import { ruleRegistry } from './rule-registry.ts';
import { tokenRegistry } from './token-registry.ts';
import type { EntryDraft, RegistrationEntry } from './registration-entry.ts';

export interface PageRequest {
  /** The id of the last item of the page before. */
  readonly after?: string;
  readonly limit?: number;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Pass it as `after` for the next page; absent on the last one. */
  readonly next?: string;
}

export interface EntryFilter {
  readonly parentId?: SpiffeId;
  readonly spiffeId?: SpiffeId;
}

export interface EntryRegistry {
  /** Throws EntryError for a bad draft, RegistryError `entry_exists` for a duplicate. */
  createEntry(draft: EntryDraft): Promise<RegistrationEntry>;
  /** Replaces what the operator decides; `entry_changed` if it is not at `expectedRevision` any more. */
  updateEntry(id: string, draft: EntryDraft, expectedRevision?: number): Promise<RegistrationEntry>;
  getEntry(id: string): Promise<RegistrationEntry | undefined>;
  /** Oldest first. */
  listEntries(request?: PageRequest & EntryFilter): Promise<Page<RegistrationEntry>>;
  /** Returns what was deleted. Throws RegistryError `entry_not_found`, or `entry_changed` as above. */
  deleteEntry(id: string, expectedRevision?: number): Promise<RegistrationEntry>;
  /** Carries out the changes of an import, batch by batch. Throws RegistryError `entry_changed`. */
  applyImport(
    changes: readonly EntryChange[],
    onBatch: (applied: readonly AppliedChange[]) => Promise<void>,
  ): Promise<void>;
}

export interface NodeRegistry {
  /** Creates or replaces a node's record, at attestation. */
  putNode(node: AttestedNode): Promise<void>;
  /** Changes a node that still stands; throws RegistryError `node_not_found` if it was removed. */
  updateNode(id: SpiffeId, change: (node: AttestedNode) => AttestedNode): Promise<AttestedNode>;
  getNode(id: SpiffeId): Promise<AttestedNode | undefined>;
  listNodes(request?: PageRequest): Promise<Page<AttestedNode>>;
  /** Removes the node, and the join token it came with, so that it cannot come back by a repeat. */
  removeNode(id: SpiffeId): Promise<AttestedNode>;
}

export interface TokenRegistry {
  /** `text` is shown once; only its hash is kept. */
  createToken(options: {
    readonly ttlMs: number;
    readonly aliasId?: SpiffeId;
  }): Promise<{ readonly text: string; readonly token: JoinToken }>;
  getToken(id: string): Promise<JoinToken | undefined>;
  listTokens(request?: PageRequest): Promise<Page<JoinToken>>;
  deleteToken(id: string): Promise<JoinToken>;
  /** Judges and, on first use, durably binds the token to the node and its key. */
  useToken(use: {
    readonly text: string;
    readonly spkiSha256: string;
    readonly nodeId: SpiffeId;
  }): Promise<JoinTokenVerdict>;
}

export interface RuleRegistry {
  /** Throws TemplateError, SelectorError or EntryError for a bad draft. */
  createRule(draft: RuleDraft): Promise<IdentityRule>;
  getRule(id: string): Promise<IdentityRule | undefined>;
  /** Oldest first. */
  listRules(request?: PageRequest): Promise<Page<IdentityRule>>;
  /** Returns what was deleted. Throws RegistryError `rule_not_found`. */
  deleteRule(id: string): Promise<IdentityRule>;
}

export type Registry = EntryRegistry & NodeRegistry & TokenRegistry & RuleRegistry;

export interface RegistryDeps {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly random: Random;
}

/** The registry over a store. Several may share one: every change is a compare and swap. */
export function createRegistry(deps: RegistryDeps): Registry {
  return {
    ...entryRegistry(deps),
    ...nodeRegistry(deps),
    ...tokenRegistry(deps),
    ...ruleRegistry(deps),
  };
}
