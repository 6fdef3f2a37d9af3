/** A policy's YAML document: rules and their tests, parsed and type-checked with every fault at its line and column. */

import { z } from 'zod';
import { parseConfig } from '../core/index.ts';
import { type Compiled, compileCondition } from './compile.ts';
import { factsEnvironment } from './issuance-facts.ts';
import { defaultRule, type IssuancePolicy } from './issuance-policy.ts';
import { type PolicyTest, policyTestField } from './policy-test-case.ts';

export interface PolicyDocument {
  readonly policy: IssuancePolicy;
  readonly tests: readonly PolicyTest[];
}

/**
 * Throws ConfigError with every fault of the text: of YAML, of the document's form, of an expression's
 * syntax and of its types.
 *
 * @example
 * const { policy } = parsePolicyDocument(await readText('policy.yaml'), 'policy.yaml');
 * const verdict = decideIssuance(policy, facts);
 */
export function parsePolicyDocument(text: string, fileName: string): PolicyDocument {
  const { rules, tests, default: stated } = parseConfig(text, fileName, documentSchema);
  return {
    policy: {
      rules: rules.map(({ when, ...rule }) => ({ ...rule, holds: when.holds })),
      // Whoever lists what is allowed means that the rest is not.
      default: stated ?? (rules.some(({ effect }) => effect === 'allow') ? 'deny' : 'allow'),
    },
    tests,
  };
}

type ConditionWithin = Extract<Compiled, { kind: 'compiled' }>;

const conditionField = z.string().transform((text, context): ConditionWithin => {
  const compiled = compileCondition(factsEnvironment(), text);
  if (compiled.kind === 'compiled') return compiled;
  const { reason, offset } = compiled.fault;
  context.addIssue({ code: 'custom', message: reason, params: { offset } });
  return z.NEVER;
});

const ruleSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, {
      message: 'a name has 1 to 64 of a-z 0-9 . _ - and begins with a letter or digit',
    })
    .refine((name) => name !== defaultRule, { message: '"default" names the case of no rule' }),
  effect: z.enum(['deny', 'allow']),
  when: conditionField,
  reason: z.string().min(1, { message: 'say why, for whoever is refused' }).max(500),
});

// Rules are walked for each certificate: this many take a millisecond.
const rulesMax = 200;
const testsMax = 1000;
// The CA answers nobody else meanwhile: some tens of milliseconds at the very worst.
const stepsMax = 500_000;

const documentSchema = z
  .strictObject({
    default: z.enum(['deny', 'allow']).optional(),
    rules: z.array(ruleSchema).max(rulesMax),
    tests: z.array(policyTestField).max(testsMax).default([]),
  })
  .superRefine(({ rules, tests }, context) => {
    const names = new Set<string>([defaultRule]);
    rules.forEach(({ name }, index) => {
      if (names.has(name)) {
        const path = ['rules', index, 'name'];
        context.addIssue({ code: 'custom', path, message: `another rule is named ${name}` });
      }
      names.add(name);
    });
    const steps = rules.reduce((total, { when }) => total + when.steps, 0);
    if (steps > stepsMax) {
      const message = `all rules together can take ${steps} steps, at most ${stepsMax}`;
      context.addIssue({ code: 'custom', path: ['rules'], message });
    }
    tests.forEach(({ rule }, index) => {
      if (rule === undefined || names.has(rule)) return;
      const path = ['tests', index, 'rule'];
      context.addIssue({ code: 'custom', path, message: `no rule is named ${rule}` });
    });
  });
