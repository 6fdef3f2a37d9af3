/**
 * The entries that rules give to a workload by what this agent attests of it. Pure.
 *
 * The CA pushes every such rule, cut to this node, with the rest of the state; the agent finds which fit a
 * caller. It could as well show the CA a caller's selectors and be told. But then each connection would cost
 * a round trip, none would work while the CA is away, and the CA would learn of workloads that are none of
 * its business; so it learns of those selectors alone that an identity stands on, when a certificate is
 * asked for, and judges them itself.
 */

import { hash } from 'node:crypto';
import { canonicalJson } from '../../core/index.ts';
import { isSpiffeId } from '../../spiffe/index.ts';
import type { AgentEntry, DerivableEntry } from '../ca-state.ts';

/** One entry for each rule that fits; none by a rule of which a fact is missing, twofold or no path segment. */
export function derivedEntries(
  derivables: readonly DerivableEntry[],
  selectors: ReadonlySet<string>,
): readonly AgentEntry[] {
  return derivables.flatMap((derivable) => derive(derivable, selectors) ?? []);
}

function derive(
  { parts, ...derivable }: DerivableEntry,
  selectors: ReadonlySet<string>,
): AgentEntry | undefined {
  if (!derivable.selectors.every((condition) => selectors.has(condition))) return undefined;
  const basis = new Set(derivable.selectors);
  let spiffeId = '';
  for (const part of parts) {
    if (part.kind === 'text') {
      spiffeId += part.text;
      continue;
    }
    const [fact, other] = [...selectors].filter((each) => each.startsWith(part.prefix));
    if (fact === undefined || other !== undefined) return undefined;
    const value = fact.slice(part.prefix.length);
    // SPIFFE-ID §2.2, as the CA asks it of every value: one segment, and no step to another.
    if (!/^[a-zA-Z0-9._-]+$/.test(value) || value === '.' || value === '..') return undefined;
    spiffeId += value;
    basis.add(fact);
  }
  if (!isSpiffeId(spiffeId)) return undefined;
  const derivedFrom = [...basis].toSorted();
  // Workloads with the same facts share one entry, and one certificate.
  const tag = hash('sha256', canonicalJson(derivedFrom), 'hex').slice(0, tagLength);
  return {
    ...derivable,
    id: `${derivable.id}#${tag}`,
    spiffeId,
    selectors: derivedFrom,
    derivedFrom,
  };
}

// 96 bits: two sets of facts of one node and one rule do not meet.
const tagLength = 24;
