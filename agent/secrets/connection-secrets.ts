/**
 * What one connection may have by SDS: certificates and bundles as they come, and the secrets that its
 * streams want, each held for the first of its identities that the CA lets have it.
 */

import { type Watch, WatchSource } from '../../core/index.ts';
import type { NamedSecret, SecretSet } from '../../sds-server/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import type { CallerIdentities } from '../workload/caller-identities.ts';
import { ticketKeysName } from './held-secret.ts';
import type { HeldSecrets, Hold } from './held-secrets.ts';
import { isHeadFor, noSecretHeads, type SecretHeads } from './secret-heads.ts';

export interface ConnectionSecretsDeps {
  readonly trustDomain: TrustDomain;
  readonly held: HeldSecrets;
  readonly state: Watch<CaState | undefined>;
}

interface Wanted {
  readonly hold: Hold;
  readonly stop: () => void;
}

export class ConnectionSecrets {
  readonly #deps: ConnectionSecretsDeps;
  readonly #identities: Watch<CallerIdentities>;
  readonly #sets: WatchSource<SecretSet>;
  readonly #stops: readonly (() => void)[];
  #names: readonly string[] = [];
  #wanted: ReadonlyMap<string, Wanted> = new Map();
  #seen: CallerIdentities;

  constructor(identities: Watch<CallerIdentities>, deps: ConnectionSecretsDeps) {
    this.#deps = deps;
    this.#identities = identities;
    this.#seen = identities.current();
    this.#sets = new WatchSource(this.#setOf(new Set()));
    this.#stops = [
      identities.subscribe(() => this.#refresh()),
      deps.state.subscribe(() => {
        if (this.#names.length > 0) this.#refresh();
      }),
    ];
  }

  get sets(): Watch<SecretSet> {
    return this.#sets;
  }

  want(names: readonly string[]): void {
    this.#names = names;
    this.#refresh();
  }

  close(): void {
    for (const stop of this.#stops) stop();
    for (const { hold, stop } of this.#wanted.values()) {
      stop();
      hold.release();
    }
    this.#wanted = new Map();
  }

  #refresh(): void {
    const before = this.#wanted;
    const next = new Map<string, Wanted>();
    const denied = new Set<string>();
    for (const name of this.#names) {
      const found = this.#entryFor(name);
      if (found === 'denied') denied.add(name);
      if (typeof found === 'string') continue;
      const known = before.get(name);
      const wanted =
        known?.hold.key === this.#deps.held.keyOf(found, name) ? known : this.#hold(found, name);
      if (wanted === undefined) denied.add(name);
      else next.set(name, wanted);
    }
    this.#wanted = next;
    this.#publish(denied);
    // After the set is out: what is let go is overwritten with zeros.
    for (const [name, { hold, stop }] of before) {
      if (next.get(name)?.hold === hold) continue;
      stop();
      hold.release();
    }
  }

  #hold(entry: AgentEntry, name: string): Wanted | undefined {
    const hold = this.#deps.held.hold(entry, name);
    if (hold === undefined) return undefined;
    return { hold, stop: hold.value.subscribe(() => this.#refresh()) };
  }

  /** An identity without a certificate that is good is nobody's: it is given no secret either. */
  #entryFor(name: string): AgentEntry | 'pending' | 'denied' {
    const identities = this.#identities.current();
    if (identities.kind === 'starting') return 'pending';
    const heads: SecretHeads = this.#deps.state.current()?.secretHeads ?? noSecretHeads;
    const head = heads.get(name);
    const candidate =
      name === ticketKeysName
        ? identities.identities[0]
        : identities.identities.find(({ entry }) => head !== undefined && isHeadFor(head, entry));
    if (candidate === undefined) return 'denied';
    return candidate.svid === undefined ? 'pending' : candidate.entry;
  }

  #publish(denied: Set<string>): void {
    const identities = this.#identities.current();
    const next = this.#setOf(denied);
    if (identities === this.#seen && sameSecrets(this.#sets.current(), next)) return;
    this.#seen = identities;
    this.#sets.set(next);
  }

  #setOf(denied: Set<string>): SecretSet {
    const { trustDomain } = this.#deps;
    const identities = this.#identities.current();
    if (identities.kind === 'starting') {
      const nothing = { svids: [], defaultSvid: undefined, bundles: new Map() };
      return { trustDomain, ...nothing, pending: 'everything' };
    }
    const named = new Map<string, NamedSecret>();
    let ticketKeys: SecretSet['ticketKeys'];
    for (const [name, { hold }] of this.#wanted) {
      const held = hold.value.current();
      if (held.kind === 'named') named.set(name, held.secret);
      if (held.kind === 'ticket_keys') ticketKeys = held.ticketKeys;
      if (held.kind === 'denied') denied.add(name);
    }
    const waiting = identities.identities.flatMap(({ entry, svid }, index) => {
      if (svid !== undefined) return [];
      return index === 0 ? ['default', entry.spiffeId] : [entry.spiffeId];
    });
    return {
      trustDomain,
      svids: identities.identities.flatMap(({ svid }) => svid ?? []),
      defaultSvid: identities.identities[0]?.svid,
      bundles: identities.bundles,
      crls: identities.crls,
      pending: new Set(waiting),
      ...(ticketKeys === undefined ? {} : { ticketKeys }),
      ...(named.size === 0 ? {} : { named }),
      ...(denied.size === 0 ? {} : { denied }),
    };
  }
}

/** Of two sets of the same identities. */
function sameSecrets(left: SecretSet, right: SecretSet): boolean {
  const [leftNamed, rightNamed] = [left.named ?? new Map(), right.named ?? new Map()];
  const [leftDenied, rightDenied] = [left.denied ?? noNames, right.denied ?? noNames];
  return (
    left.ticketKeys === right.ticketKeys &&
    leftNamed.size === rightNamed.size &&
    [...leftNamed].every(([name, secret]) => rightNamed.get(name) === secret) &&
    leftDenied.size === rightDenied.size &&
    [...leftDenied].every((name) => rightDenied.has(name))
  );
}

const noNames: ReadonlySet<string> = new Set();
