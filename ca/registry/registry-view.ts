/**
 * The registry as this replica sees it: entries and nodes in memory, kept by a watch of the store,
 * and a word to each node's listeners when what that node may serve has changed.
 */

import type { Clock, Closable, Logger, Random } from '../../core/index.ts';
import { type SpiffeId, spiffeIdOf, type TrustDomain } from '../../spiffe/index.ts';
import { followPrefix } from '../store/follow-prefix.ts';
import { storePrefixes } from '../store/key-layout.ts';
import type { Store, StoreItem } from '../store/store.ts';
import type { AttestedNode } from './attested-node.ts';
import { TemplateError } from './derived-identity.ts';
import { EntryExpiry, isInForce } from './entry-expiry.ts';
import { EntryIndex } from './entry-index.ts';
import { inOrderOfIdentity } from './entry-list.ts';
import {
  type CompiledRule,
  compileRule,
  entryOfRule,
  type IdentityRule,
  plainEntryId,
  ruleIdOfEntry,
} from './identity-rule.ts';
import { entryReader } from './entry-reader.ts';
import { nodeCodec, type RecordCodec, ruleCodec } from './record-codec.ts';
import { type RegistrationEntry, reservedPath } from './registration-entry.ts';
import { RegistryError } from './registry-error.ts';
import { areSelectorsSubset } from './selector.ts';
import { type DerivableIdentity, derivableOf, entryOfWorkload } from './workload-identity.ts';

export interface RegistryView extends Closable {
  /** In the order of identities, the default one first; none for a node that is not known. */
  entriesOf(nodeId: SpiffeId): readonly RegistrationEntry[];
  /** What workloads of the node may derive from facts that its agent attests, by rules that trust it so far. */
  derivablesOf(nodeId: SpiffeId): readonly DerivableIdentity[];
  /** The entry, if this node may serve it; a derivable one to a workload with exactly these selectors. */
  authorizedEntry(
    nodeId: SpiffeId,
    entryId: string,
    selectors?: readonly string[],
  ): RegistrationEntry | undefined;
  /** Whether the entry gives this identity the admin flag now. One that a rule derives never does. */
  givesAdmin(entryId: string, spiffeId: string): boolean;
  /** Whether any entry, ended ones among them, gives this identity the admin flag. */
  isAdministrator(spiffeId: string): boolean;
  /** Whether it is attested and not banned. */
  isNode(id: SpiffeId): boolean;
  node(id: SpiffeId): AttestedNode | undefined;
  counts(): { readonly entries: number; readonly nodes: number };
  /** The store's revision that this view has reached. */
  revision(): number;
  /**
   * Calls `listener` after every change of entries or nodes; with `nodeId` only after those that
   * can change what that node may serve. Stops when the returned function is called.
   */
  subscribe(listener: () => void, nodeId?: SpiffeId): () => void;
}

export interface RegistryViewDeps {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Resolves once all entries and nodes are read; throws if they cannot be. */
export async function openRegistryView(deps: RegistryViewDeps): Promise<RegistryView> {
  const view = new StoreRegistryView(deps);
  try {
    await view.begin();
    return view;
  } catch (error) {
    await view.close();
    throw error;
  }
}

class StoreRegistryView implements RegistryView {
  readonly #deps: RegistryViewDeps;
  readonly #index: EntryIndex;
  readonly #expiry: EntryExpiry;
  readonly #rules = new Map<string, CompiledRule>();
  readonly #nodes = new Map<SpiffeId, AttestedNode>();
  readonly #listeners = new Set<{ readonly listener: () => void; readonly nodeId?: SpiffeId }>();
  readonly #follows: Closable[] = [];
  #revision = 0;

  constructor(deps: RegistryViewDeps) {
    this.#deps = deps;
    this.#index = new EntryIndex(deps.trustDomain);
    this.#expiry = new EntryExpiry(deps.clock, (entries) =>
      this.#announce(this.#revision, [{ kind: 'entries', entries }]),
    );
  }

  async begin(): Promise<void> {
    await this.#follow(
      storePrefixes.nodes,
      nodeCodec,
      (key, node) => this.#applyNode(key, node),
      () => {
        this.#nodes.clear();
      },
    );
    await this.#follow(
      storePrefixes.rules,
      ruleCodec,
      (key, rule) => this.#applyRule(key, rule),
      () => {
        this.#rules.clear();
      },
    );
    await this.#follow(
      storePrefixes.entries,
      entryReader(),
      (key, entry) => this.#applyEntry(key, entry),
      () => {
        this.#index.clear();
        this.#expiry.clear();
      },
    );
  }

  entriesOf(nodeId: SpiffeId): readonly RegistrationEntry[] {
    const node = this.#admitted(nodeId);
    if (node === undefined) return [];
    const nowMs = this.#deps.clock.wallMs();
    const found = this.#index.authorizedEntries(node);
    // The index's own array where it can be: whoever compares states sees at once that it is the same.
    const isWhole = found.every((entry) => isInForce(entry, nowMs));
    const stored = isWhole ? found : found.filter((entry) => isInForce(entry, nowMs));
    const derived = [...this.#rules.values()]
      .map((rule) => entryOfRule(rule, node))
      .filter((entry) => entry !== undefined);
    return derived.length === 0 ? stored : [...stored, ...derived].toSorted(inOrderOfIdentity);
  }

  derivablesOf(nodeId: SpiffeId): readonly DerivableIdentity[] {
    const node = this.#admitted(nodeId);
    if (node === undefined) return [];
    return [...this.#rules.values()].flatMap((rule) => derivableOf(rule, node) ?? []);
  }

  authorizedEntry(
    nodeId: SpiffeId,
    entryId: string,
    selectors: readonly string[] = [],
  ): RegistrationEntry | undefined {
    const node = this.#admitted(nodeId);
    if (node === undefined) return undefined;
    const ruleId = ruleIdOfEntry(entryId);
    if (ruleId !== undefined) return this.#derivedEntry(node, ruleId, entryId, selectors);
    const entry = this.#index.get(entryId);
    if (entry === undefined || !isInForce(entry, this.#deps.clock.wallMs())) return undefined;
    return this.#index.isAuthorized(node, entry) ? entry : undefined;
  }

  givesAdmin(entryId: string, spiffeId: string): boolean {
    const entry = this.#index.get(entryId);
    if (entry === undefined || !isInForce(entry, this.#deps.clock.wallMs())) return false;
    return entry.admin && entry.spiffeId === spiffeId;
  }

  isAdministrator(spiffeId: string): boolean {
    return this.#index.hasAdmin(spiffeId);
  }

  isNode(id: SpiffeId): boolean {
    return this.#admitted(id) !== undefined;
  }

  node(id: SpiffeId): AttestedNode | undefined {
    return this.#nodes.get(id);
  }

  counts(): { readonly entries: number; readonly nodes: number } {
    return { entries: this.#index.size(), nodes: this.#nodes.size };
  }

  revision(): number {
    return this.#revision;
  }

  subscribe(listener: () => void, nodeId?: SpiffeId): () => void {
    const subscription = nodeId === undefined ? { listener } : { listener, nodeId };
    this.#listeners.add(subscription);
    return () => {
      this.#listeners.delete(subscription);
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#expiry.clear();
    await Promise.all(this.#follows.splice(0).map((follow) => follow.close()));
  }

  #admitted(id: SpiffeId): AttestedNode | undefined {
    const node = this.#nodes.get(id);
    return node?.banned === undefined ? node : undefined;
  }

  #derivedEntry(
    node: AttestedNode,
    ruleId: string,
    entryId: string,
    selectors: readonly string[],
  ): RegistrationEntry | undefined {
    const rule = this.#rules.get(ruleId);
    if (rule === undefined) return undefined;
    const entry =
      selectors.length === 0 ? entryOfRule(rule, node) : entryOfWorkload(rule, node, selectors);
    // The id names the node too: an entry that another node was given is not this one's.
    const named = selectors.length === 0 ? entryId : plainEntryId(entryId);
    return entry?.id === named ? entry : undefined;
  }

  /** `apply` takes one key's newest value (none: deleted) and says what that touches. */
  async #follow<Value>(
    prefix: string,
    codec: Pick<RecordCodec<Value>, 'decode'>,
    apply: (key: string, value: Value | undefined) => Touched,
    clear: () => void,
  ): Promise<void> {
    const { store, clock, random, log } = this.#deps;
    const follow = await followPrefix({
      store,
      prefix,
      clock,
      random,
      read: (item) => [item.key, this.#decode(codec, item)] as const,
      onSnapshot: (values, revision) => {
        clear();
        for (const [key, value] of values) if (value !== undefined) apply(key, value);
        this.#announce(revision, 'everything');
      },
      onEvents: (events) => {
        const touched = events.map((event) =>
          apply(event.key, event.kind === 'put' ? this.#decode(codec, event) : undefined),
        );
        this.#announce(events.at(-1)?.revision ?? 0, touched);
      },
      onError: (error) => log.error('the registry cannot be read again', { prefix, error }),
    });
    this.#follows.push(follow);
  }

  #applyNode(key: string, node: AttestedNode | undefined): Touched {
    const name = key.slice(storePrefixes.nodes.length);
    const id = spiffeIdOf(this.#deps.trustDomain, `${reservedPath}/node/${name}`);
    if (node === undefined) this.#nodes.delete(id);
    else this.#nodes.set(id, node);
    return { kind: 'node', id };
  }

  #applyEntry(key: string, entry: RegistrationEntry | undefined): Touched {
    const old = this.#index.delete(key.slice(storePrefixes.entries.length));
    if (old !== undefined) this.#expiry.delete(old.id);
    if (entry !== undefined) {
      this.#index.put(entry);
      this.#expiry.put(entry);
    }
    return { kind: 'entries', entries: [old, entry].filter((found) => found !== undefined) };
  }

  #applyRule(key: string, rule: IdentityRule | undefined): Touched {
    const id = key.slice(storePrefixes.rules.length);
    this.#rules.delete(id);
    if (rule !== undefined) this.#compile(key, rule);
    return { kind: 'rule' };
  }

  /** A template that this version does not understand gives nobody an identity. */
  #compile(key: string, rule: IdentityRule): void {
    try {
      this.#rules.set(rule.id, compileRule(rule, this.#deps.trustDomain));
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      this.#deps.log.error('a record of the registry was passed over', { key, error });
    }
  }

  /** A record that cannot be read counts as absent: it must give nobody an identity. */
  #decode<Value>(codec: Pick<RecordCodec<Value>, 'decode'>, item: ValueItem): Value | undefined {
    try {
      return codec.decode(item);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      this.#deps.log.error('a record of the registry was passed over', { key: item.key, error });
      return undefined;
    }
  }

  #announce(revision: number, touched: readonly Touched[] | 'everything'): void {
    this.#revision = Math.max(this.#revision, revision);
    for (const { listener, nodeId } of this.#listeners) {
      if (nodeId === undefined || touched === 'everything' || this.#concerns(nodeId, touched)) {
        listener();
      }
    }
  }

  #concerns(nodeId: SpiffeId, touched: readonly Touched[]): boolean {
    if (touched.some((touch) => touch.kind === 'node' && touch.id === nodeId)) return true;
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return false;
    // A rule may be about any node; whether it changes anything is seen when the entries are read.
    if (touched.some(({ kind }) => kind === 'rule')) return true;
    const parents = this.#index.parentsOf(node);
    const isSeen = (entry: RegistrationEntry): boolean =>
      this.#index.isAlias(entry)
        ? areSelectorsSubset(entry.selectors, new Set(node.selectors))
        : parents.has(entry.parentId);
    return touched.some((touch) => touch.kind === 'entries' && touch.entries.some(isSeen));
  }
}

type ValueItem = Pick<StoreItem, 'key' | 'value'>;

/** What one change touches: a node, or the entry that stood and the one that stands. */
type Touched =
  | { readonly kind: 'node'; readonly id: SpiffeId }
  | { readonly kind: 'rule' }
  | { readonly kind: 'entries'; readonly entries: readonly RegistrationEntry[] };
