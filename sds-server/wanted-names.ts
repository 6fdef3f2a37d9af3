/** What all streams of one connection ask for together: what a source must fetch, and what it may cost. */

import { type Clock, CodedError, type Timer } from '../core/index.ts';
import type { Caller } from '../rpc/index.ts';
import { nameLengthMax } from './request-bounds.ts';
import { type NameResolver, wantedName } from './secret-name.ts';
import type { SecretSource } from './secret-source.ts';

export type WantedNamesErrorCode = 'sds_connection_names';

export class WantedNamesError extends CodedError<WantedNamesErrorCode> {
  override readonly name = 'WantedNamesError';
  override readonly kind = 'resource_exhausted';
}

/** The share of one stream. */
export interface StreamNames {
  /**
   * Throws {@link WantedNamesError}, and changes nothing, if the connection would ask for too much. `claimed` are
   * names that cost as much, and that nobody fetches anything for.
   */
  set(names: ReadonlySet<string>, claimed?: ReadonlySet<string>): void;
  close(): void;
}

interface ConnectionNames {
  count: number;
  characters: number;
  /** By how many streams each name is wanted; a stream may want it under two spellings. */
  readonly wanted: Map<string, number>;
  streams: number;
  /** Set for a while after the source was told, so that a client cannot have it look again for each message. */
  rest: Timer | undefined;
  hasChanged: boolean;
}

export class WantedNames {
  readonly #source: SecretSource;
  readonly #resolve: NameResolver;
  readonly #clock: Clock;
  readonly #connections = new Map<string, ConnectionNames>();

  constructor(source: SecretSource, resolve: NameResolver, clock: Clock) {
    this.#source = source;
    this.#resolve = resolve;
    this.#clock = clock;
  }

  open(caller: Caller): StreamNames {
    const of = this.#connections.get(caller.connection) ?? {
      count: 0,
      characters: 0,
      wanted: new Map<string, number>(),
      streams: 0,
      rest: undefined,
      hasChanged: false,
    };
    of.streams += 1;
    this.#connections.set(caller.connection, of);
    let mine: ReadonlySet<string> = new Set();
    let mineClaimed: ReadonlySet<string> = mine;
    let closed = false;
    const replace = (
      names: ReadonlySet<string>,
      claimed: ReadonlySet<string> = new Set(),
    ): void => {
      // A client may add a thousand names one by one, so only what differs is looked at closely.
      const added = [...names].filter((name) => !mine.has(name));
      const left = [...mine].filter((name) => !names.has(name));
      const count = of.count + added.length - left.length + claimed.size - mineClaimed.size;
      const characters =
        of.characters +
        charactersOf(added) -
        charactersOf(left) +
        (claimed === mineClaimed ? 0 : charactersOf([...claimed]) - charactersOf([...mineClaimed]));
      if (count > connectionNamesMax || characters > connectionCharactersMax) {
        throw new WantedNamesError(
          'sds_connection_names',
          `the streams of this connection ask for ${count} names of ${characters} characters together, ` +
            `at most ${connectionNamesMax} and ${connectionCharactersMax} are taken`,
        );
      }
      Object.assign(of, { count, characters });
      mine = names;
      mineClaimed = claimed;
      const changes = this.#count(of, added, 1) + this.#count(of, left, -1);
      if (changes > 0) this.#tell(caller, of);
    };
    return {
      set: replace,
      close: () => {
        if (closed) return;
        closed = true;
        of.streams -= 1;
        replace(new Set());
        if (of.streams > 0) return;
        this.#connections.delete(caller.connection);
        // The next stream of the connection begins anew, and must not be overtaken by what is old.
        of.rest?.cancel();
        of.rest = undefined;
        if (of.hasChanged) this.#tell(caller, of);
      },
    };
  }

  /** How many names came or went altogether. */
  #count(of: ConnectionNames, names: readonly string[], by: 1 | -1): number {
    let changes = 0;
    for (const name of names) {
      const wanted = wantedName(this.#resolve(name));
      if (wanted === undefined) continue;
      const before = of.wanted.get(wanted) ?? 0;
      const after = before + by;
      if (after === 0) of.wanted.delete(wanted);
      else of.wanted.set(wanted, after);
      if (before === 0 || after === 0) changes += 1;
    }
    return changes;
  }

  /** The first at once, what follows it closely together. */
  #tell(caller: Caller, of: ConnectionNames): void {
    of.hasChanged = of.rest !== undefined;
    if (of.hasChanged) return;
    this.#source.want?.(caller, [...of.wanted.keys()].toSorted());
    if (of.streams === 0) return;
    of.rest = this.#clock.after(restMs, () => {
      of.rest = undefined;
      if (of.hasChanged) this.#tell(caller, of);
    });
  }
}

function charactersOf(names: readonly string[]): number {
  let characters = 0;
  for (const name of names) characters += name.length;
  return characters;
}

// What one connection wants is looked at ten times a second at most: each look costs as much as it has streams.
const restMs = 100;
// One name for each of the streams that a connection may have, and more for those with several.
export const connectionNamesMax = 10_000;
// A SPIFFE ID of usual length for each of them; what a process can make the agent remember of it.
export const connectionCharactersMax = 512 * nameLengthMax;
