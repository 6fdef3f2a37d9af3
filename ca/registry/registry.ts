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

/**
 * Told what is about to stand, or to go, and durable before it does: what cannot be recorded is not done. It may be
 * told again, of what another writer's change made of it; the last word is what was done.
 */
export type Recorder<Value> = (value: Value) => Promise<unknown>;

/** How an entry is changed. */
export interface EntryChangeOptions {
  /** Only if the entry is still at this revision; `entry_changed` otherwise. */
  readonly expectedRevision?: number | undefined;
  readonly record?: Recorder<RegistrationEntry> | undefined;
}

export interface EntryFilter {
  readonly parentId?: SpiffeId;
  readonly spiffeId?: SpiffeId;
}

export interface EntryRegistry {
  /** Throws EntryError for a bad draft, RegistryError `entry_exists` for a duplicate. */
  createEntry(draft: EntryDraft, record?: Recorder<RegistrationEntry>): Promise<RegistrationEntry>;
  /** Replaces what the operator decides. What changes nothing is neither recorded nor stored. */
  updateEntry(
    id: string,
    draft: EntryDraft,
    options?: EntryChangeOptions,
  ): Promise<RegistrationEntry>;
  getEntry(id: string): Promise<RegistrationEntry | undefined>;
  /** Oldest first. */
  listEntries(request?: PageRequest & EntryFilter): Promise<Page<RegistrationEntry>>;
  /** Returns what was deleted. Throws RegistryError `entry_not_found`, or `entry_changed` as above. */
  deleteEntry(id: string, options?: EntryChangeOptions): Promise<RegistrationEntry>;
  /** Carries out the changes of an import, batch by batch. Throws RegistryError `entry_changed`. */
  applyImport(
    changes: readonly EntryChange[],
    options: {
      readonly record: Recorder<readonly AppliedChange[]>;
      /** Told of each batch that stands. */
      readonly onBatch?: (applied: readonly AppliedChange[]) => void;
    },
  ): Promise<void>;
}

export interface NodeRegistry {
  /**
   * Creates or replaces a node's record, at attestation. Throws RegistryError `node_banned`, or
   * `token_not_found` if the join token that it comes with was removed meanwhile, with the node as a rule.
   */
  putNode(node: AttestedNode): Promise<void>;
  /** Changes a node that still stands; throws RegistryError `node_not_found` if it was removed. */
  updateNode(
    id: SpiffeId,
    change: (node: AttestedNode) => AttestedNode,
    record?: Recorder<AttestedNode>,
  ): Promise<AttestedNode>;
  getNode(id: SpiffeId): Promise<AttestedNode | undefined>;
  listNodes(request?: PageRequest): Promise<Page<AttestedNode>>;
  /** Removes the node, and the join token it came with, so that it cannot come back by a repeat. */
  removeNode(id: SpiffeId, record?: Recorder<AttestedNode>): Promise<AttestedNode>;
}

export interface TokenRegistry {
  /** `text` is shown once; only its hash is kept. */
  createToken(
    options: { readonly ttlMs: number; readonly aliasId?: SpiffeId },
    record?: Recorder<JoinToken>,
  ): Promise<{ readonly text: string; readonly token: JoinToken }>;
  getToken(id: string): Promise<JoinToken | undefined>;
  listTokens(request?: PageRequest): Promise<Page<JoinToken>>;
  deleteToken(id: string, record?: Recorder<JoinToken>): Promise<JoinToken>;
  /** So that the node does not come back by the token that it came with. */
  removeTokensOf(node: AttestedNode): Promise<void>;
  /** Judges and, on first use, durably binds the token to the node and its key; that alone is recorded. */
  useToken(
    use: { readonly text: string; readonly spkiSha256: string; readonly nodeId: SpiffeId },
    record?: Recorder<JoinToken>,
  ): Promise<JoinTokenVerdict>;
}

export interface RuleRegistry {
  /** Throws TemplateError, SelectorError or EntryError for a bad draft. */
  createRule(draft: RuleDraft, record?: Recorder<IdentityRule>): Promise<IdentityRule>;
  getRule(id: string): Promise<IdentityRule | undefined>;
  /** Oldest first. */
  listRules(request?: PageRequest): Promise<Page<IdentityRule>>;
  /** Returns what was deleted. Throws RegistryError `rule_not_found`. */
  deleteRule(id: string, record?: Recorder<IdentityRule>): Promise<IdentityRule>;
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
  const nodes = nodeRegistry(deps);
  return {
    ...entryRegistry(deps),
    ...nodes,
    ...tokenRegistry(deps, nodes),
    ...ruleRegistry(deps),
  };
}
