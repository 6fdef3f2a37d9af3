/** The entries that a workload may have by what it shows: the node's own, and those that rules derive for it. */

import type { AgentEntry, CaState } from '../ca-state.ts';
import { authorizedEntries } from './authorized-entries.ts';
import { derivedEntries } from './derived-entries.ts';
import { entriesThatMayFit } from './entry-index.ts';

/** In order of precedence. */
export function fittingEntries(
  state: CaState,
  selectors: ReadonlySet<string>,
): readonly AgentEntry[] {
  // What its own facts derive: those that other callers derive are in nobody's list but theirs.
  const derivedOwn = derivedEntries(state.derivables ?? [], selectors);
  return authorizedEntries(
    [...entriesThatMayFit(state.entries, selectors), ...derivedOwn],
    selectors,
  );
}
