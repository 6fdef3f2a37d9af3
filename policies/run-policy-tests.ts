/** A policy's own tests, run against it. */

import { decideIssuance, type IssuanceVerdict } from './issuance-policy.ts';
import type { PolicyDocument } from './policy-document.ts';

export interface PolicyTestResult {
  readonly name: string;
  readonly passed: boolean;
  readonly expected: { readonly kind: 'deny' | 'allow'; readonly rule?: string | undefined };
  readonly verdict: IssuanceVerdict;
}

/** One result a test, in the order of the document. */
export function runPolicyTests({ policy, tests }: PolicyDocument): readonly PolicyTestResult[] {
  return tests.map(({ name, facts, expect, rule }) => {
    const verdict = decideIssuance(policy, facts);
    const passed = verdict.kind === expect && (rule === undefined || verdict.rule === rule);
    return { name, passed, expected: { kind: expect, rule }, verdict };
  });
}
