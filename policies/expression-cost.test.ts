import { describe, expect, test } from 'vitest';
import { ConfigError } from '../core/index.ts';
import { parseSpiffeId } from '../spiffe/index.ts';
import { factListMax } from './expression-cost.ts';
import type { IssuanceFacts } from './issuance-facts.ts';
import { decideIssuance, type IssuanceVerdict } from './issuance-policy.ts';
import { parsePolicyDocument } from './policy-document.ts';

function documentOf(...conditions: readonly string[]): string {
  const rules = conditions.map((when, index) => ({
    name: `rule-${index}`,
    effect: 'deny',
    when,
    reason: 'why',
  }));
  return JSON.stringify({ rules });
}

function faultsOf(...conditions: readonly string[]): string {
  try {
    parsePolicyDocument(documentOf(...conditions), 'p.yaml');
    return '';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

function judged(condition: string, selectors: number): IssuanceVerdict {
  const text = (index: number): string => `x509pop:san:dns:${'s'.repeat(2000)}${index}`;
  const facts: IssuanceFacts = {
    node: { id: 'n', selectors: Array.from({ length: selectors }, (_, index) => text(index)) },
    entry: {
      id: 'e',
      spiffeId: parseSpiffeId(`spiffe://mesh.test/${'p'.repeat(2000)}`),
      dnsNames: Array.from({ length: 64 }, (_, index) => `${index}.mesh.test`),
      hint: '',
      admin: false,
      createdAtMs: 0,
    },
    request: { kind: 'x509', ttlSeconds: 60, keyType: 'ec-p256', audience: [] },
    nowMs: 0,
  };
  return decideIssuance(parsePolicyDocument(documentOf(condition), 'p.yaml').policy, facts);
}

const long = (count: number): string =>
  Array.from({ length: count }, () => 'node.selectors').join(' + ');

describe('what has no bound is refused', () => {
  test.for([
    ['a hostile regular expression', 'entry.path.matches("^(a+)+$")', 'matches() is not for rules'],
    [
      'names that double in one another',
      'cel.bind(a, node.id + node.id, cel.bind(b, a + a, cel.bind(c, b + b, c == "")))',
      'bind() is not for rules',
    ],
    [
      'a loop over characters',
      'entry.path.split("").exists(a, a == "x")',
      'split() is not for rules',
    ],
    ['bytes that become maps', 'bytes("{}").json().size() == 1', 'there is no json() for rules'],
    [
      'a loop over lists put together',
      `(${long(40)}).all(a, (${long(8)}).all(b, a != b))`,
      'steps',
    ],
    [
      'a time zone in a loop',
      'node.selectors.exists(a, now.getHours("Europe/Berlin") > 3)',
      'steps, a condition has at most',
    ],
    [
      'lists of lists in a loop',
      '[node.selectors, node.selectors].map(a, a + a + a + a).all(a, a.all(b, b.contains("x") || b.contains("y") || b.contains("z")))',
      'steps, a condition has',
    ],
  ] as const)('%s', ([, condition, reason]) => {
    expect(faultsOf(condition)).toContain(reason);
  });

  test('and so is what is too much only together', () => {
    const one = 'node.selectors.all(a, node.selectors.exists(b, a != b))';
    expect(faultsOf(one)).toBe('');
    expect(faultsOf(...Array.from({ length: 20 }, () => one))).toContain('all rules together');
  });
});

test.for([
  'node.selectors.exists(a, a.endsWith("s3")) && entry.dnsNames.all(b, b.endsWith(".mesh.test"))',
  'entry.dnsNames.all(name, node.selectors.exists(each, each.contains(name) || name != ""))',
  'entry.dnsNames.filter(a, a.startsWith("1")).map(b, b + "x").size() > 3',
  'now.getHours("Europe/Berlin") < 24',
  'now >= timestamp("1969-12-20T00:00:00Z") && now - entry.createdAt < duration("24h")',
])('what rules are made of is taken, with facts as long as they may be: %s', (condition) => {
  expect(judged(condition, factListMax)).toMatchObject({ kind: 'deny', reason: 'why' });
});

test('with more facts than a rule may see, nothing is issued', () => {
  expect(judged('false', factListMax)).toMatchObject({ kind: 'allow', rule: 'default' });
  const verdict = judged('false', factListMax + 1);
  expect(verdict).toMatchObject({ kind: 'deny', rule: 'default' });
  expect(verdict.reason).toContain('node.selectors are 129, at most 128');
});
