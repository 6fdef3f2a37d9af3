/** The entries of a push: read where they are new, and the very values of the push before where they say the same. */

import { isDeepStrictEqual } from 'node:util';
import type { Derivable, Entry } from '../api/index.ts';
import type { Logger } from '../core/index.ts';
import {
  parseSpiffeId,
  parseTrustDomain,
  SpiffeIdError,
  type TrustDomain,
  TrustDomainError,
  trustDomainOf,
} from '../spiffe/index.ts';
import type { AgentEntry, DerivableEntry, DerivablePart } from './ca-state.ts';

/**
 * `known` itself if all say the same, so that thousands of callers are not compared anew with what has not changed.
 * An entry that cannot be read is left out and told of; it harms no other.
 */
export function readEntries(
  pushed: readonly Entry[],
  trustDomain: TrustDomain,
  known: readonly AgentEntry[],
  log: Logger,
): readonly AgentEntry[] {
  let byId: ReadonlyMap<string, AgentEntry> | undefined;
  const before = (id: string, at: number): AgentEntry | undefined => {
    const there = known[at];
    if (there?.id === id) return there;
    byId ??= new Map(known.map((entry) => [entry.id, entry]));
    return byId.get(id);
  };
  const read: AgentEntry[] = [];
  for (const entry of pushed) {
    const one = readEntry(entry, trustDomain, before(entry.id, read.length), log);
    if (one !== undefined) read.push(one);
  }
  const isSame = read.length === known.length && read.every((entry, at) => entry === known[at]);
  return isSame ? known : read;
}

/** The same of the rules that the CA cut to this node, of which there are few. */
export function readDerivables(
  pushed: readonly Derivable[],
  trustDomain: TrustDomain,
  known: readonly DerivableEntry[],
  log: Logger,
): readonly DerivableEntry[] {
  const read = pushed
    .slice(0, derivablesMax)
    .flatMap((each) => readDerivable(each, trustDomain, log) ?? []);
  return isDeepStrictEqual(read, known) ? known : read;
}

function readEntry(
  entry: Entry,
  trustDomain: TrustDomain,
  known: AgentEntry | undefined,
  log: Logger,
): AgentEntry | undefined {
  if (known !== undefined && isSaidBy(entry, known)) return known;
  const skip = (reason: string): undefined => {
    log.warn('a registration entry is left out', { entry: entry.id, reason });
  };
  // An entry without selectors would match every process of the machine.
  if (entry.selectors.length === 0) return skip('it has no selectors');
  try {
    const spiffeId = parseSpiffeId(entry.spiffeId);
    if (trustDomainOf(spiffeId) !== trustDomain) return skip(`${spiffeId} is of another domain`);
    return {
      id: entry.id,
      spiffeId,
      selectors: entry.selectors,
      hint: entry.hint,
      priority: entry.priority,
      createdAtMs: Number(entry.createdAtMs),
      revision: entry.revision,
      federatesWith: entry.federatesWith.map(parseTrustDomain),
      ...lifeOf(entry.x509SvidTtlMs),
    };
  } catch (error) {
    if (!(error instanceof SpiffeIdError || error instanceof TrustDomainError)) throw error;
    return skip(error.message);
  }
}

function readDerivable(
  derivable: Derivable,
  trustDomain: TrustDomain,
  log: Logger,
): DerivableEntry | undefined {
  const { id, selectors, parts, hint, priority, createdAtMs, revision, x509SvidTtlMs } = derivable;
  const federatesWith = trustDomainsIn(derivable.federatesWith);
  const read = parts.flatMap(({ part }): readonly DerivablePart[] => {
    if (part?.$case === 'text') return [{ kind: 'text', text: part.value }];
    return part?.$case === 'fact' && part.value !== ''
      ? [{ kind: 'fact', prefix: part.value }]
      : [];
  });
  const [first] = read;
  const isOurs = first?.kind === 'text' && first.text.startsWith(`spiffe://${trustDomain}/`);
  // Without conditions it would fit every process of the machine; a part that is not understood may be any.
  const isRead = read.length === parts.length && federatesWith !== undefined;
  if (selectors.length === 0 || !isRead || !isOurs) {
    log.warn('a rule of the CA is left out', { rule: id });
    return undefined;
  }
  return {
    id,
    selectors,
    parts: read,
    hint,
    priority,
    createdAtMs: Number(createdAtMs),
    revision,
    federatesWith,
    ...lifeOf(x509SvidTtlMs),
  };
}

function trustDomainsIn(names: readonly string[]): readonly TrustDomain[] | undefined {
  try {
    return names.map(parseTrustDomain);
  } catch (error) {
    if (!(error instanceof TrustDomainError)) throw error;
    return undefined;
  }
}

function lifeOf(ttlMs: bigint): { readonly ttlMs?: number } {
  return ttlMs > 0n ? { ttlMs: Number(ttlMs) } : {};
}

/** Field by field, before anything is parsed: most of most pushes has been read before. */
function isSaidBy(entry: Entry, known: AgentEntry): boolean {
  return (
    entry.id === known.id &&
    entry.revision === known.revision &&
    entry.spiffeId === known.spiffeId &&
    entry.hint === known.hint &&
    entry.priority === known.priority &&
    Number(entry.createdAtMs) === known.createdAtMs &&
    Number(entry.x509SvidTtlMs) === (known.ttlMs ?? 0) &&
    sameTexts(entry.selectors, known.selectors) &&
    sameTexts(entry.federatesWith, known.federatesWith ?? [])
  );
}

function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, at) => text === right[at]);
}

// A CA has at most 256 rules.
const derivablesMax = 1024;
