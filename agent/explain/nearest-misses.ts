/** Which entries a process just fails to match, and what it lacks. Pure. */

import type { NearMissView } from '../../api/index.ts';
import type { AgentEntry } from '../ca-state.ts';

/** An attestor by what it could not do: absent ones do not run on this agent. */
export type AttestorFailures = ReadonlyMap<string, string | undefined>;

/** At most `limit`: those that share something first, then those that lack least. */
export function nearestMisses(
  entries: readonly AgentEntry[],
  selectors: ReadonlySet<string>,
  attestors: AttestorFailures,
  limit = missesMax,
): NearMissView[] {
  const misses = entries
    .filter((entry) => entry.selectors.some((selector) => !selectors.has(selector)))
    .map((entry) => missOf(entry, selectors));
  return misses
    .toSorted(byNearness)
    .slice(0, limit)
    .map((miss) => ({ ...miss, because: reasonsOf(miss.lacking, selectors, attestors) }));
}

/** What is behind selectors that are not there: another value, or an attestor that could not say. */
export function reasonsOf(
  lacking: readonly string[],
  selectors: ReadonlySet<string>,
  attestors: AttestorFailures,
): string[] {
  const reasons = lacking.flatMap((selector) => {
    const type = selector.slice(0, selector.indexOf(':'));
    if (!attestors.has(type)) return [`no ${type} attestor runs on this agent`];
    const failure = attestors.get(type);
    if (failure !== undefined) return [`the ${type} attestor could not say: ${failure}`];
    const prefix = prefixOf(selector);
    const others = [...selectors].filter((other) => other.startsWith(prefix));
    if (others.length === 0) return [];
    return [`it has ${others.slice(0, othersMax).join(', ')} and not ${selector}`];
  });
  return [...new Set(reasons)];
}

type Miss = Omit<NearMissView, 'because'>;

function missOf({ id, spiffeId, selectors }: AgentEntry, found: ReadonlySet<string>): Miss {
  return {
    entryId: id,
    spiffeId,
    present: selectors.filter((selector) => found.has(selector)),
    lacking: selectors.filter((selector) => !found.has(selector)),
  };
}

function byNearness(left: Miss, right: Miss): number {
  return (
    Number(right.present.length > 0) - Number(left.present.length > 0) ||
    left.lacking.length - right.lacking.length ||
    right.present.length - left.present.length ||
    (left.entryId < right.entryId ? -1 : 1)
  );
}

/** `unix:uid:` of `unix:uid:1000`; of a selector with two parts, its type. */
function prefixOf(selector: string): string {
  const [type = '', name = '', ...value] = selector.split(':');
  return value.length === 0 ? `${type}:` : `${type}:${name}:`;
}

// More would hide the one that was meant.
const missesMax = 3;
// A process may have hundreds of labels or groups.
const othersMax = 4;
