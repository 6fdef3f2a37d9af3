/** An issuance policy as compiled from its document, and its verdicts: `deny` before `allow`, with a reason for each. */

import type { Condition } from './compile.ts';
import { factListMax } from './expression-cost.ts';
import { type IssuanceFacts, type Variables, variablesOf } from './issuance-facts.ts';

export interface IssuanceRule {
  readonly name: string;
  readonly effect: 'deny' | 'allow';
  readonly holds: Condition;
  readonly reason: string;
}

export interface IssuancePolicy {
  /** In the order of the document. */
  readonly rules: readonly IssuanceRule[];
  /** What happens where no rule speaks. */
  readonly default: 'deny' | 'allow';
}

export interface IssuanceVerdict {
  readonly kind: 'allow' | 'deny';
  /** The rule that decided, or `default`. */
  readonly rule: string;
  readonly reason: string;
}

/**
 * The verdict on one request. A rule that cannot be evaluated denies, whichever its effect: nothing is
 * issued on the strength of an answer that is not known.
 */
export function decideIssuance(policy: IssuancePolicy, facts: IssuanceFacts): IssuanceVerdict {
  const tooLong = policy.rules.length === 0 ? undefined : longListOf(facts);
  if (tooLong !== undefined) {
    const reason = `rules cannot be evaluated: ${tooLong}, at most ${factListMax}`;
    return { kind: 'deny', rule: defaultRule, reason };
  }
  const variables = variablesOf(facts);
  for (const effect of ['deny', 'allow'] as const) {
    for (const rule of policy.rules) {
      if (rule.effect !== effect) continue;
      const verdict = judge(rule, variables);
      if (verdict !== undefined) return verdict;
    }
  }
  const reason =
    policy.default === 'allow'
      ? 'no rule speaks against it'
      : 'no rule allows it, and the default is to deny';
  return { kind: policy.default, rule: defaultRule, reason };
}

function judge(rule: IssuanceRule, variables: Variables): IssuanceVerdict | undefined {
  const { name, effect, reason } = rule;
  try {
    return rule.holds(variables) ? { kind: effect, rule: name, reason } : undefined;
  } catch (error) {
    // Whatever an expression throws, of the language or of JavaScript beneath it, is no answer.
    const cause = error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'no answer';
    return { kind: 'deny', rule: name, reason: `the rule cannot be evaluated: ${cause}` };
  }
}

/** The cost of a rule is bounded by the length of its lists, so a longer one is nothing a rule may see. */
function longListOf({ node, entry, request }: IssuanceFacts): string | undefined {
  const lists = [
    ['node.selectors', node.selectors],
    ['entry.dnsNames', entry.dnsNames],
    ['request.audience', request.audience],
  ] as const;
  const found = lists.find(([, list]) => list.length > factListMax);
  return found === undefined ? undefined : `${found[0]} are ${found[1].length}`;
}

/** The name that stands in a verdict where no rule decided; no rule may have it. */
export const defaultRule = 'default';
