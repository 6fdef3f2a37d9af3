/** Whether anything that the CA has pushed asks for a kind of selector: what costs much is found only then. */

import type { AgentEntry, CaState, DerivableEntry } from '../ca-state.ts';

/** Asked for each connection; answered once for each state, which does not change. */
export function isNeeded(prefix: string, state: CaState | undefined): boolean {
  if (state === undefined) return false;
  const known = answers.get(state) ?? new Map<string, boolean>();
  answers.set(state, known);
  const answer = known.get(prefix) ?? looksFor(prefix, state);
  known.set(prefix, answer);
  return answer;
}

function looksFor(prefix: string, { entries, derivables = [] }: CaState): boolean {
  return (
    anySelector(entries, prefix) || anySelector(derivables, prefix) || anyFact(derivables, prefix)
  );
}

function anyFact(derivables: readonly DerivableEntry[], prefix: string): boolean {
  return derivables.some(({ parts }) =>
    parts.some((part) => part.kind === 'fact' && part.prefix.startsWith(prefix)),
  );
}

function anySelector(entries: readonly Pick<AgentEntry, 'selectors'>[], prefix: string): boolean {
  return entries.some((entry) => entry.selectors.some((selector) => selector.startsWith(prefix)));
}

// By prefix, of which attestors have a few.
const answers = new WeakMap<CaState, Map<string, boolean>>();
