/** The admin API's client for the registry: entries, rules, tokens and nodes. */

import type { z } from 'zod';
import {
  type CreateEntry,
  type EntryList,
  type EntryView,
  entryListSchema,
  entrySchema,
  type ImportEntries,
  type ImportLine,
  importLineSchema,
  type ImportProgress,
  type ImportResult,
  importResultSchema,
  type UpdateEntry,
} from './entries.ts';
import {
  type CreateToken,
  type KnownTokenView,
  knownTokenSchema,
  type NodeList,
  nodeListSchema,
  type NodeReason,
  nodeSchema,
  type NodeView,
  type PrunedNodes,
  prunedNodesSchema,
  type PruneNodes,
  type TokenList,
  tokenListSchema,
  tokenSchema,
  type TokenView,
} from './nodes.ts';
import { AdminError, isErrorKind } from './problem.ts';
import {
  type CreateRule,
  type RuleIdentityList,
  ruleIdentityListSchema,
  type RuleList,
  ruleListSchema,
  ruleSchema,
  type RuleView,
} from './rules.ts';
import type { Transport } from './transport.ts';

export interface PageOf {
  readonly after?: string;
  readonly limit?: number;
}

export interface EntryPage extends PageOf {
  readonly parentId?: string;
  readonly spiffeId?: string;
}

/** A node is named by its SPIFFE ID. */
export interface RegistryClient {
  createEntry(entry: CreateEntry): Promise<EntryView>;
  listEntries(page: EntryPage): Promise<EntryList>;
  getEntry(id: string): Promise<EntryView>;
  /** Refused with `entry_changed` if it is not at `expectedRevision` any more. */
  updateEntry(id: string, entry: UpdateEntry): Promise<EntryView>;
  deleteEntry(id: string): Promise<EntryView>;
  /** With `onProgress` it is told of each batch that is written, and may take as long as it takes. */
  importEntries(
    entries: ImportEntries,
    onProgress?: (progress: ImportProgress) => void,
  ): Promise<ImportResult>;
  createRule(rule: CreateRule): Promise<RuleView>;
  listRules(page: PageOf): Promise<RuleList>;
  getRule(id: string): Promise<RuleView>;
  /** What the rule gives on each node. */
  ruleIdentities(id: string, page: PageOf): Promise<RuleIdentityList>;
  deleteRule(id: string): Promise<RuleView>;
  createToken(token: CreateToken): Promise<TokenView>;
  listTokens(page?: PageOf): Promise<TokenList>;
  deleteToken(id: string): Promise<KnownTokenView>;
  listNodes(page?: PageOf): Promise<NodeList>;
  getNode(spiffeId: string): Promise<NodeView>;
  evictNode(spiffeId: string, reason: NodeReason): Promise<NodeView>;
  banNode(spiffeId: string, reason: NodeReason): Promise<NodeView>;
  unbanNode(spiffeId: string, reason: NodeReason): Promise<NodeView>;
  pruneNodes(prune: PruneNodes): Promise<PrunedNodes>;
}

/** One call of the API; throws {@link AdminError}. */
export type AdminCaller = <Schema extends z.ZodType>(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  answer: Schema,
  body?: unknown,
) => Promise<z.output<Schema>>;

export function registryClient(call: AdminCaller, send: Transport): RegistryClient {
  const part = encodeURIComponent;
  return {
    createEntry: (entry) => call('POST', '/v1/entries', entrySchema, entry),
    listEntries: (page) => call('GET', `/v1/entries${queryOf({ ...page })}`, entryListSchema),
    getEntry: (id) => call('GET', `/v1/entries/${part(id)}`, entrySchema),
    updateEntry: (id, entry) => call('PUT', `/v1/entries/${part(id)}`, entrySchema, entry),
    deleteEntry: (id) => call('DELETE', `/v1/entries/${part(id)}`, entrySchema),
    importEntries: (entries, onProgress) =>
      onProgress === undefined
        ? call('POST', '/v1/entries/import', importResultSchema, entries)
        : importInLines(send, entries, onProgress),
    createRule: (rule) => call('POST', '/v1/rules', ruleSchema, rule),
    listRules: (page) => call('GET', `/v1/rules${queryOf({ ...page })}`, ruleListSchema),
    getRule: (id) => call('GET', `/v1/rules/${part(id)}`, ruleSchema),
    ruleIdentities: (id, page) =>
      call(
        'GET',
        `/v1/rules/${part(id)}/identities${queryOf({ ...page })}`,
        ruleIdentityListSchema,
      ),
    deleteRule: (id) => call('DELETE', `/v1/rules/${part(id)}`, ruleSchema),
    createToken: (token) => call('POST', '/v1/tokens', tokenSchema, token),
    listTokens: (page = {}) => call('GET', `/v1/tokens${queryOf({ ...page })}`, tokenListSchema),
    deleteToken: (id) => call('DELETE', `/v1/tokens/${part(id)}`, knownTokenSchema),
    listNodes: (page = {}) => call('GET', `/v1/nodes${queryOf({ ...page })}`, nodeListSchema),
    getNode: async (id) => call('GET', nodePath(id), nodeSchema),
    evictNode: async (id, reason) => call('POST', `${nodePath(id)}/evict`, nodeSchema, reason),
    banNode: async (id, reason) => call('POST', `${nodePath(id)}/ban`, nodeSchema, reason),
    unbanNode: async (id, reason) => call('POST', `${nodePath(id)}/unban`, nodeSchema, reason),
    pruneNodes: (prune) => call('POST', '/v1/nodes/prune', prunedNodesSchema, prune),
  };
}

async function importInLines(
  send: Transport,
  entries: ImportEntries,
  onProgress: (progress: ImportProgress) => void,
): Promise<ImportResult> {
  let last: ImportLine | undefined;
  await send('POST', '/v1/entries/import', entries, (line) => {
    last = importLineSchema.parse(JSON.parse(line));
    if ('progress' in last) onProgress(last.progress);
  });
  if (last !== undefined && 'result' in last) return last.result;
  if (last !== undefined && 'problem' in last) {
    const { kind, code, title, remedy } = last.problem;
    throw new AdminError(isErrorKind(kind) ? kind : 'internal', code, title, remedy);
  }
  throw new AdminError(
    'unavailable',
    'admin_unreachable',
    'the CA stopped in the middle of the import',
    'import again: what is written stands, and the rest is done then',
  );
}

/** `spiffe://<trust domain>/signet/node/<attestor>/<name>`, or only what comes after `node/`. */
function nodePath(text: string): string {
  const [, attestor, name] =
    /^(?:spiffe:\/\/[^/]+\/signet\/node\/)?([^/]+)\/([^/]+)$/.exec(text) ?? [];
  if (attestor !== undefined && name !== undefined) {
    return `/v1/nodes/${encodeURIComponent(attestor)}/${encodeURIComponent(name)}`;
  }
  throw new AdminError(
    'invalid_argument',
    'node_id',
    `${JSON.stringify(text)} is not the ID of a node`,
    'give it as signet node list shows it',
  );
}

function queryOf(values: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined) search.set(key, String(value));
  }
  return search.size === 0 ? '' : `?${search.toString()}`;
}
