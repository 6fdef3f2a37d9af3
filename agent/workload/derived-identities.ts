/**
 * The state of the CA with an entry added for each identity that a workload here derives now, so that
 * certificates are made, renewed and withdrawn for these as for all others: an entry goes when its rule
 * goes, and some time after the last workload with its facts has left.
 */

import {
  type Clock,
  type Closable,
  type Logger,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import type { AgentEntry, CaState, DerivableEntry } from '../ca-state.ts';
import type { Selectors } from './attested-callers.ts';
import { derivedEntries } from './derived-entries.ts';

export interface DerivedIdentities extends Closable {
  readonly state: Watch<CaState | undefined>;
  /** A workload with these selectors is here until the returned function is called. */
  add(selectors: Watch<Selectors>): () => void;
}

export interface DerivedIdentitiesDeps {
  readonly state: Watch<CaState | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createDerivedIdentities(deps: DerivedIdentitiesDeps): DerivedIdentities {
  return new PresentWorkloads(deps);
}

interface Member {
  readonly selectors: Watch<Selectors>;
  /** What was derived last, and from what. */
  derivables?: readonly DerivableEntry[];
  by?: Selectors;
  entries: readonly AgentEntry[];
}

class PresentWorkloads implements DerivedIdentities {
  readonly state: WatchSource<CaState | undefined>;
  readonly #deps: DerivedIdentitiesDeps;
  readonly #members = new Set<Member>();
  /** Facts of workloads that have left, by entry id, with the time at which their entry goes. */
  readonly #left = new Map<string, { readonly facts: Selectors; readonly untilMs: number }>();
  readonly #stop: () => void;
  /** Of the entries that were added to the state. */
  #derivedIds: ReadonlySet<string> = new Set();
  #sweep: Timer | undefined;

  constructor(deps: DerivedIdentitiesDeps) {
    this.#deps = deps;
    this.state = new WatchSource(deps.state.current());
    this.#stop = deps.state.subscribe(() => this.#refresh());
  }

  add(selectors: Watch<Selectors>): () => void {
    const member: Member = { selectors, entries: [] };
    this.#members.add(member);
    const stop = selectors.subscribe(() => this.#refresh());
    // One that brings nothing new asks for no look at all the others: a thousand come at once.
    const { derivables = [] } = this.#deps.state.current() ?? {};
    const own = entriesOf(member, derivables);
    if (!own.every(({ id }) => this.#derivedIds.has(id))) this.#refresh();
    return () => {
      stop();
      if (this.#members.delete(member)) this.#leave(member);
    };
  }

  async close(): Promise<void> {
    this.#stop();
    this.#sweep?.cancel();
  }

  #leave({ entries }: Member): void {
    const { clock } = this.#deps;
    for (const { id, derivedFrom = [] } of entries) {
      this.#left.set(id, {
        facts: new Set(derivedFrom),
        untilMs: clock.monotonicMs() + lingerMs,
      });
    }
    if (this.#left.size > 0) this.#sweep ??= clock.after(lingerMs, () => this.#forget());
  }

  #forget(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [id, { untilMs }] of this.#left) if (untilMs <= nowMs) this.#left.delete(id);
    this.#sweep =
      this.#left.size === 0 ? undefined : this.#deps.clock.after(lingerMs, () => this.#forget());
    this.#refresh();
  }

  #refresh(): void {
    const state = this.#deps.state.current();
    const derived = state === undefined ? [] : this.#derivedNow(state.derivables ?? []);
    this.#derivedIds = new Set(derived.map(({ id }) => id));
    const before = this.state.current();
    if (before === state && derived.length === 0) return;
    if (state !== undefined && before !== undefined && isSame(before, state, derived)) return;
    this.state.set(
      state === undefined || derived.length === 0
        ? state
        : { ...state, entries: [...state.entries, ...derived] },
    );
  }

  #derivedNow(derivables: readonly DerivableEntry[]): readonly AgentEntry[] {
    const found = new Map<string, AgentEntry>();
    const addAll = (entries: readonly AgentEntry[]): void => {
      for (const entry of entries) if (found.size < derivedMax) found.set(entry.id, entry);
    };
    for (const member of this.#members) addAll(entriesOf(member, derivables));
    for (const { facts } of this.#left.values()) addAll(derivedEntries(derivables, facts));
    if (found.size >= derivedMax) {
      this.#deps.log.error('too many derived identities: further workloads get none', {
        max: derivedMax,
      });
    }
    return [...found.values()];
  }
}

function entriesOf(member: Member, derivables: readonly DerivableEntry[]): readonly AgentEntry[] {
  const by = member.selectors.current();
  if (member.derivables !== derivables || member.by !== by) {
    Object.assign(member, { derivables, by, entries: derivedEntries(derivables, by) });
  }
  return member.entries;
}

/** Whether `before` is this very state with these very entries added. */
function isSame(before: CaState, state: CaState, derived: readonly AgentEntry[]): boolean {
  if (before.revision !== state.revision || before.bundles !== state.bundles) return false;
  const known = before.entries.slice(state.entries.length);
  return (
    before.entries.length === state.entries.length + derived.length &&
    state.entries.every((entry, index) => before.entries[index] === entry) &&
    known.every(({ id, revision }, index) => {
      const other = derived[index];
      return other?.id === id && other.revision === revision;
    })
  );
}

// A workload that is started over and over finds its certificate; one that is gone costs no renewal for long.
const lingerMs = 60_000;
// Each is a key and a certificate in memory; far above what runs on one machine.
const derivedMax = 10_000;
