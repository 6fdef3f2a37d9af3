/**
 * Which secrets which identity may have, kept from the store: what nodes are told of. The values are not
 * here, and whether one is given out is judged anew at each read.
 */

import type { SecretHead } from '../../api/index.ts';
import {
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
} from '../../core/index.ts';
import { parsePeerPolicy } from '../../policies/index.ts';
import type { SpiffeId, TrustDomain } from '../../spiffe/index.ts';
import type { TemplatePart } from '../registry/derived-identity.ts';
import { followPrefix } from '../store/follow-prefix.ts';
import { storePrefixes } from '../store/key-layout.ts';
import type { Store, StoreEvent, StoreItem } from '../store/store.ts';
import { type NamedSecret, newestOf } from './named-secret.ts';
import { decodeSecret } from './secret-record.ts';

/** An identity as a node has it: an entry's, or one of those that a rule may give to a workload. */
export type HeadSubject =
  | { readonly id: string; readonly spiffeId: SpiffeId }
  | { readonly id: string; readonly parts: readonly TemplatePart[] };

export interface SecretHeads {
  /** In the order of names; each with those of the subjects that may read it. */
  headsOf(subjects: readonly HeadSubject[]): SecretHead[];
  /** The store's revision of the newest change. */
  revision(): number;
  subscribe(listener: () => void): () => void;
}

export interface SecretHeadsDeps {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  /** Why this identity is given nothing at the moment. */
  readonly whyBlocked: (id: SpiffeId) => string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Resolves once every secret is known. */
export async function openSecretHeads(deps: SecretHeadsDeps): Promise<SecretHeads & Closable> {
  const index = new HeadIndex(deps);
  const following = await followPrefix<NamedSecret | undefined>({
    store: deps.store,
    prefix: storePrefixes.secrets,
    clock: deps.clock,
    random: deps.random,
    read: (item) => index.read(item),
    onSnapshot: (secrets, revision) => index.replace(secrets, revision),
    onEvents: (events) => index.apply(events),
    onError: (error) => {
      deps.log.error('the secrets could not be listed', { reason: describeError(error) });
    },
  });
  return {
    headsOf: (subjects) => index.headsOf(subjects),
    revision: () => index.revision,
    subscribe: (listener) => index.subscribe(listener),
    close: () => following.close(),
  };
}

class HeadIndex {
  revision = 0;
  readonly #deps: SecretHeadsDeps;
  readonly #secrets = new Map<string, NamedSecret>();
  /** Names of the secrets that a rule gives to exactly this identity. */
  readonly #byId = new Map<string, Set<string>>();
  /** Names of those that everybody of the trust domain may have. */
  readonly #forAll = new Set<string>();
  readonly #listeners = new Set<() => void>();

  constructor(deps: SecretHeadsDeps) {
    this.#deps = deps;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** One that cannot be read is told of and given to nobody; it harms no other. */
  read(item: Pick<StoreItem, 'key' | 'value'>): NamedSecret | undefined {
    try {
      return decodeSecret(item);
    } catch (error) {
      this.#deps.log.error('a secret is left out', { reason: describeError(error) });
      return undefined;
    }
  }

  replace(secrets: readonly (NamedSecret | undefined)[], revision: number): void {
    for (const name of this.#secrets.keys()) this.#remove(name);
    for (const secret of secrets) if (secret !== undefined) this.#add(secret);
    this.#changed(revision);
  }

  apply(events: readonly StoreEvent[]): void {
    for (const event of events) {
      this.#remove(event.key.slice(storePrefixes.secrets.length));
      const secret = event.kind === 'put' ? this.read(event) : undefined;
      if (secret !== undefined) this.#add(secret);
    }
    this.#changed(events.at(-1)?.revision ?? this.revision);
  }

  headsOf(subjects: readonly HeadSubject[]): SecretHead[] {
    if (this.#secrets.size === 0) return [];
    const entryIds = new Map<string, string[]>();
    const add = (name: string, id: string): void => {
      const ids = entryIds.get(name);
      if (ids === undefined) entryIds.set(name, [id]);
      else ids.push(id);
    };
    const whole: string[] = [];
    for (const subject of subjects) {
      const { id } = subject;
      if ('spiffeId' in subject && this.#deps.whyBlocked(subject.spiffeId) !== undefined) continue;
      // An identity of another trust domain is not given out here.
      whole.push(id);
      for (const name of this.#namesOf(subject)) if (!this.#forAll.has(name)) add(name, id);
    }
    // Written out, a rule for everybody would be as long as the list of entries for each secret.
    const everybody = whole.length === subjects.length ? [allEntries] : whole;
    for (const name of this.#forAll) if (whole.length > 0) entryIds.set(name, everybody);
    return [...entryIds]
      .flatMap(([name, ids]) => {
        const secret = this.#secrets.get(name);
        if (secret === undefined) return [];
        return [{ name, version: BigInt(newestOf(secret).version), entryIds: ids }];
      })
      .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  #namesOf(subject: HeadSubject): Iterable<string> {
    if ('spiffeId' in subject) return this.#byId.get(subject.spiffeId) ?? [];
    const pattern = patternOf(subject.parts);
    const fitting = [...this.#byId].filter(([id]) => pattern.test(id));
    return new Set(fitting.flatMap(([, names]) => [...names]));
  }

  #add(secret: NamedSecret): void {
    this.#secrets.set(secret.name, secret);
    const { ids, trustDomains } = parsePeerPolicy(secret.allow);
    if (trustDomains.has(this.#deps.trustDomain)) this.#forAll.add(secret.name);
    for (const id of ids) {
      const names = this.#byId.get(id) ?? new Set();
      names.add(secret.name);
      this.#byId.set(id, names);
    }
  }

  #remove(name: string): void {
    const secret = this.#secrets.get(name);
    if (secret === undefined) return;
    this.#secrets.delete(name);
    this.#forAll.delete(name);
    for (const id of parsePeerPolicy(secret.allow).ids) {
      const names = this.#byId.get(id);
      names?.delete(name);
      if (names?.size === 0) this.#byId.delete(id);
    }
  }

  #changed(revision: number): void {
    this.revision = Math.max(this.revision, revision);
    for (const listener of this.#listeners) listener();
  }
}

/** What the rule may give: each fact is one segment of a path, or a part of one. */
function patternOf(parts: readonly TemplatePart[]): RegExp {
  const source = parts.map((part) =>
    part.kind === 'text' ? part.text.replaceAll(/[^a-zA-Z0-9_]/g, '\\$&') : '[a-zA-Z0-9._-]+',
  );
  return new RegExp(`^${source.join('')}$`);
}

const allEntries = '*';
