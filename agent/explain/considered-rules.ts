/** How the rules of the CA read a process: what each derives, or what it lacks. Pure. */

import type { ConsideredRuleView } from '../../api/index.ts';
import type { DerivableEntry } from '../ca-state.ts';
import { derivedEntries } from '../workload/derived-entries.ts';

/** At most `limit`: those that give an identity first, then those that lack least. */
export function consideredRules(
  derivables: readonly DerivableEntry[],
  selectors: ReadonlySet<string>,
  limit = rulesMax,
): ConsideredRuleView[] {
  return derivables
    .map((derivable) => considered(derivable, selectors))
    .toSorted(byNearness)
    .slice(0, limit);
}

function considered(derivable: DerivableEntry, selectors: ReadonlySet<string>): ConsideredRuleView {
  const [derived] = derivedEntries([derivable], selectors);
  const facts = derivable.parts.flatMap((part) => (part.kind === 'fact' ? [part.prefix] : []));
  const readings = facts.map((prefix) => ({
    prefix,
    values: [...selectors].filter((selector) => selector.startsWith(prefix)),
  }));
  return {
    ruleId: derivable.id,
    template: derivable.parts
      .map((part) => (part.kind === 'text' ? part.text : `{${part.prefix.replace(/:$/, '')}}`))
      .join(''),
    ...(derived === undefined ? {} : { spiffeId: derived.spiffeId }),
    lacking: [
      ...derivable.selectors.filter((selector) => !selectors.has(selector)),
      ...readings.flatMap(({ prefix, values }) => (values.length === 0 ? [`${prefix}…`] : [])),
    ],
    faults: readings.flatMap(({ prefix, values }) => faultsOf(prefix, values)),
  };
}

function faultsOf(prefix: string, values: readonly string[]): string[] {
  const [fact, other] = values;
  if (other !== undefined) return [`${values.slice(0, 4).join(' and ')}: which one is not said`];
  const value = fact?.slice(prefix.length);
  // SPIFFE-ID §2.2, as the derivation asks it.
  if (value === undefined || (/^[a-zA-Z0-9._-]+$/.test(value) && !/^\.\.?$/.test(value))) return [];
  return [`${JSON.stringify(value)} of ${prefix} is no segment of a SPIFFE ID's path`];
}

function byNearness(left: ConsideredRuleView, right: ConsideredRuleView): number {
  return (
    Number(right.spiffeId !== undefined) - Number(left.spiffeId !== undefined) ||
    left.lacking.length + left.faults.length - (right.lacking.length + right.faults.length) ||
    (left.ruleId < right.ruleId ? -1 : 1)
  );
}

// A CA has at most 256 rules; those that are far off tell nothing.
const rulesMax = 16;
