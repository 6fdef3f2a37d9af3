/** Which entries a node may serve: an index in memory, a pure function of the entries put into it. */

import { type SpiffeId, spiffeIdOf, type TrustDomain } from '../../spiffe/index.ts';
import { type RegistrationEntry, reservedPath } from './registration-entry.ts';
import { EntryList, inOrderOfIdentity } from './entry-list.ts';
import { areSelectorsSubset, type Selector } from './selector.ts';

/** What of a node decides which entries it may serve. */
export interface NodeFacts {
  readonly id: SpiffeId;
  readonly selectors: readonly Selector[];
  readonly aliasId?: SpiffeId;
}

export class EntryIndex {
  /** The parent that makes an entry a node alias. */
  readonly #caId: SpiffeId;
  readonly #entries = new Map<string, RegistrationEntry>();
  readonly #byParent = new Map<SpiffeId, EntryList>();
  /** Those whose identity may administer the CA: few. */
  readonly #admins = new Map<string, RegistrationEntry>();
  /** Node aliases, each under one of its selectors: a node that has not that one has not all. */
  readonly #aliases = new Map<Selector, Map<string, RegistrationEntry>>();

  /** What was found for the node's facts, which never change; until an alias does. */
  #parents = new WeakMap<NodeFacts, ReadonlySet<SpiffeId>>();

  constructor(trustDomain: TrustDomain) {
    this.#caId = spiffeIdOf(trustDomain, `${reservedPath}/ca`);
  }

  get(id: string): RegistrationEntry | undefined {
    return this.#entries.get(id);
  }

  size(): number {
    return this.#entries.size;
  }

  put(entry: RegistrationEntry): void {
    this.delete(entry.id);
    this.#entries.set(entry.id, entry);
    let siblings = this.#byParent.get(entry.parentId);
    if (siblings === undefined) {
      siblings = new EntryList();
      this.#byParent.set(entry.parentId, siblings);
    }
    siblings.put(entry);
    if (entry.admin) this.#admins.set(entry.id, entry);
    if (!this.isAlias(entry)) return;
    member(this.#aliases, keySelector(entry)).set(entry.id, entry);
    this.#parents = new WeakMap();
  }

  /** Returns what stood there. */
  delete(id: string): RegistrationEntry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    this.#entries.delete(id);
    this.#admins.delete(id);
    const siblings = this.#byParent.get(entry.parentId);
    siblings?.delete(entry);
    if (siblings?.isEmpty() === true) this.#byParent.delete(entry.parentId);
    if (this.isAlias(entry)) {
      dropMember(this.#aliases, keySelector(entry), id);
      this.#parents = new WeakMap();
    }
    return entry;
  }

  clear(): void {
    this.#entries.clear();
    this.#byParent.clear();
    this.#admins.clear();
    this.#aliases.clear();
    this.#parents = new WeakMap();
  }

  /** Whether an entry with this identity has the admin flag. */
  hasAdmin(id: string): boolean {
    return [...this.#admins.values()].some(({ spiffeId }) => spiffeId === id);
  }

  /** Whether the entry names nodes instead of workloads. */
  isAlias(entry: RegistrationEntry): boolean {
    return entry.parentId === this.#caId;
  }

  /** The IDs that an entry may have as its parent to be this node's: its own, and its aliases. */
  parentsOf(node: NodeFacts): ReadonlySet<SpiffeId> {
    const known = this.#parents.get(node);
    if (known !== undefined) return known;
    const parents = new Set([node.id]);
    if (node.aliasId !== undefined) parents.add(node.aliasId);
    const held = new Set(node.selectors);
    for (const selector of held) {
      for (const alias of this.#aliases.get(selector)?.values() ?? []) {
        if (areSelectorsSubset(alias.selectors, held)) parents.add(alias.spiffeId);
      }
    }
    this.#parents.set(node, parents);
    return parents;
  }

  /**
   * The entries of the workloads this node may serve, a workload's default identity first: by
   * priority, then by age, then by id, so that every agent orders them alike.
   */
  authorizedEntries(node: NodeFacts): readonly RegistrationEntry[] {
    const lists: (readonly RegistrationEntry[])[] = [];
    for (const parent of this.parentsOf(node)) {
      // A node is told of workloads, never of the entries that name nodes.
      const list = parent === this.#caId ? undefined : this.#byParent.get(parent)?.inOrder();
      if (list !== undefined) lists.push(list);
    }
    const [only = [], ...others] = lists;
    return others.length === 0 ? only : lists.flat().toSorted(inOrderOfIdentity);
  }

  isAuthorized(node: NodeFacts, entry: RegistrationEntry): boolean {
    return !this.isAlias(entry) && this.parentsOf(node).has(entry.parentId);
  }
}

function keySelector(entry: RegistrationEntry): Selector {
  const [first] = entry.selectors;
  if (first === undefined) throw new RangeError(`entry ${entry.id} has no selectors`);
  return first;
}

function member<Key, Value>(groups: Map<Key, Map<string, Value>>, key: Key): Map<string, Value> {
  const group = groups.get(key) ?? new Map<string, Value>();
  groups.set(key, group);
  return group;
}

function dropMember<Key, Value>(groups: Map<Key, Map<string, Value>>, key: Key, id: string): void {
  const group = groups.get(key);
  group?.delete(id);
  if (group?.size === 0) groups.delete(key);
}
