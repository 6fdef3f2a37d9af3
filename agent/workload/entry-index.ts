/** The entries of a node by selector, so that a connection is compared with those that may fit it and not with all. */

import type { AgentEntry } from '../ca-state.ts';

/** Every entry that fits `selectors`, and some that do not. The list must not change afterwards: its index is kept with it. */
export function entriesThatMayFit(
  entries: readonly AgentEntry[],
  selectors: ReadonlySet<string>,
): readonly AgentEntry[] {
  let index = indexes.get(entries);
  if (index === undefined) {
    index = indexOf(entries);
    indexes.set(entries, index);
  }
  const found: AgentEntry[] = [];
  for (const selector of selectors) found.push(...(index.get(selector) ?? []));
  return found;
}

/** Each entry under that of its selectors which the fewest entries have: one that all workloads show finds little. */
function indexOf(entries: readonly AgentEntry[]): EntryIndex {
  const counts = new Map<string, number>();
  for (const { selectors } of entries) {
    for (const selector of selectors) counts.set(selector, (counts.get(selector) ?? 0) + 1);
  }
  const index = new Map<string, AgentEntry[]>();
  for (const entry of entries) {
    const [first, ...rest] = entry.selectors;
    if (first === undefined) continue;
    const countOf = (selector: string): number => counts.get(selector) ?? 0;
    const rarest = rest.reduce(
      (least, selector) => (countOf(selector) < countOf(least) ? selector : least),
      first,
    );
    const bucket = index.get(rarest);
    if (bucket === undefined) index.set(rarest, [entry]);
    else bucket.push(entry);
  }
  return index;
}

type EntryIndex = ReadonlyMap<string, readonly AgentEntry[]>;

// It goes with the push that it is of.
const indexes = new WeakMap<readonly AgentEntry[], EntryIndex>();
