/** Which entries a workload may have: those whose every selector it shows, most important first. */

import type { AgentEntry } from '../ca-state.ts';

/** In the order in which identities are offered; the first is the default. */
export function authorizedEntries(
  entries: readonly AgentEntry[],
  selectors: ReadonlySet<string>,
): readonly AgentEntry[] {
  return entries
    .filter((entry) => entry.selectors.length > 0)
    .filter((entry) => entry.selectors.every((selector) => selectors.has(selector)))
    .toSorted(byPrecedence);
}

/** Priority, then age, then id: the same on every agent, and a new entry never takes over the default by chance. */
export function byPrecedence(left: AgentEntry, right: AgentEntry): number {
  return (
    right.priority - left.priority ||
    left.createdAtMs - right.createdAtMs ||
    (left.id < right.id ? -1 : left.id > right.id ? 1 : 0)
  );
}
