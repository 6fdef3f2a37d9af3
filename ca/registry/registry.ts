/** The registry: entries, attested nodes and join tokens, kept in the store. */

import type { SpiffeId } from '../../spiffe/index.ts';
import type { AttestedNode } from './attested-node.ts';
import type { JoinToken } from './join-token.ts';
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

export interface Registry {
  /** Throws EntryError for a bad draft, RegistryError `entry_exists` for a duplicate. */
  createEntry(draft: EntryDraft): Promise<RegistrationEntry>;
  /** Replaces what the operator decides; `expectedRevision` refuses a lost update. */
  updateEntry(id: string, draft: EntryDraft, expectedRevision?: number): Promise<RegistrationEntry>;
  getEntry(id: string): Promise<RegistrationEntry | undefined>;
  listEntries(request?: PageRequest & EntryFilter): Promise<Page<RegistrationEntry>>;
  /** Returns what was deleted. Throws RegistryError `entry_not_found`. */
  deleteEntry(id: string): Promise<RegistrationEntry>;

  /** Creates or replaces a node's record. */
  putNode(node: AttestedNode): Promise<void>;
  getNode(id: SpiffeId): Promise<AttestedNode | undefined>;
  listNodes(request?: PageRequest): Promise<Page<AttestedNode>>;
  /** Removes the node, and the join token it came with, so that it cannot come back by a repeat. */
  removeNode(id: SpiffeId): Promise<AttestedNode>;

  createToken(options: { ttlMs: number; aliasId?: SpiffeId }): Promise<{
    /** Shown once; only its hash is kept. */
    readonly text: string;
    readonly token: JoinToken;
  }>;
  getToken(id: string): Promise<JoinToken | undefined>;
  listTokens(request?: PageRequest): Promise<Page<JoinToken>>;
  deleteToken(id: string): Promise<JoinToken>;
  /** Judges and, on first use, durably binds the token to the node and its key. */
  useToken(use: { text: string; spkiSha256: string; nodeId: SpiffeId }): Promise<UseTokenResult>;
}

export type UseTokenResult =
  | { readonly kind: 'first_use' | 'repeat'; readonly token: JoinToken }
  | { readonly kind: 'refused'; readonly code: string; readonly detail: string };
