import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../core/index.ts';
import { parseSpiffeId } from '../spiffe/index.ts';
import type { IssuanceFacts } from './issuance-facts.ts';
import { decideIssuance, type IssuanceVerdict } from './issuance-policy.ts';
import { parsePolicyDocument } from './policy-document.ts';

const facts: IssuanceFacts = {
  node: { id: 'spiffe://mesh.test/signet/node/a', selectors: ['x509pop:subject:cn:a'] },
  entry: {
    id: 'entry-1',
    spiffeId: parseSpiffeId('spiffe://mesh.test/ns/pay/sa/api'),
    dnsNames: ['api.pay', 'pay'],
    hint: 'main',
    admin: false,
    createdAtMs: Date.parse('2026-11-20T12:00:00Z'),
  },
  request: { kind: 'x509', ttlSeconds: 3600, keyType: 'ec-p256', audience: [] },
  nowMs: Date.parse('2026-11-22T22:30:00Z'),
};

interface Rule {
  readonly name: string;
  readonly effect: string;
  readonly when: string;
}
const rule = (effect: string, when: string, name = `${effect}-it`): Rule => ({
  name,
  effect,
  when,
});

function document(rules: readonly Rule[], more: object = {}): string {
  // JSON is YAML.
  return JSON.stringify({ rules: rules.map((each) => ({ reason: 'why', ...each })), ...more });
}

function decide(rules: readonly Rule[], more: object = {}): IssuanceVerdict {
  return decideIssuance(parsePolicyDocument(document(rules, more), 'p.yaml').policy, facts);
}

function faultsOf(text: string): readonly string[] {
  try {
    parsePolicyDocument(text, 'p.yaml');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(({ line, column, reason }) => `${line}:${column} ${reason}`);
  }
  return [];
}

describe('a verdict', () => {
  const cases: [string, readonly Rule[], object, [string, string]][] = [
    ['no rules allow', [], {}, ['allow', 'default']],
    ['a deny rule that does not hold', [rule('deny', 'false')], {}, ['allow', 'default']],
    ['a deny rule that holds', [rule('deny', 'true')], {}, ['deny', 'deny-it']],
    ['an allow rule makes the default deny', [rule('allow', 'false')], {}, ['deny', 'default']],
    ['unless it is stated', [rule('allow', 'false')], { default: 'allow' }, ['allow', 'default']],
    ['a stated default to deny', [], { default: 'deny' }, ['deny', 'default']],
    ['an allow rule that holds', [rule('allow', 'true')], {}, ['allow', 'allow-it']],
    [
      'deny goes before allow, wherever it stands',
      [rule('allow', 'true'), rule('deny', 'true')],
      {},
      ['deny', 'deny-it'],
    ],
    [
      'the first that holds',
      [rule('deny', 'false', 'a'), rule('deny', 'true', 'b'), rule('deny', 'true', 'c')],
      {},
      ['deny', 'b'],
    ],
    [
      'a deny rule that cannot be evaluated denies',
      [rule('deny', 'entry.dnsNames[7] == ""'), rule('allow', 'true')],
      {},
      ['deny', 'deny-it'],
    ],
    [
      'an allow rule that cannot be evaluated denies',
      [rule('allow', '1 / (request.ttlSeconds - 3600) == 1', 'a'), rule('allow', 'true')],
      {},
      ['deny', 'a'],
    ],
    [
      'an error of JavaScript beneath counts alike',
      [rule('allow', 'now.getHours("Nowhere/City") == 1')],
      {},
      ['deny', 'allow-it'],
    ],
  ];
  test.for(cases)('%s', ([, rules, more, [kind, name]]) => {
    const verdict = decide(rules, more);
    expect(verdict).toMatchObject({ kind, rule: name });
    expect(verdict.reason).not.toBe('');
  });

  test('carries the rule’s reason, or what could not be evaluated', () => {
    expect(decide([rule('deny', 'true')]).reason).toBe('why');
    expect(decide([rule('deny', '1 / 0 == 1')]).reason).toContain('division by zero');
  });
});

test.for([
  'node.id == "spiffe://mesh.test/signet/node/a"',
  '"x509pop:subject:cn:a" in node.selectors',
  'entry.id == "entry-1" && entry.hint == "main" && !entry.admin',
  'entry.spiffeId.endsWith("/ns/pay/sa/api") && entry.path == "/ns/pay/sa/api"',
  'entry.dnsNames.all(name, name.contains("pay"))',
  'now - entry.createdAt > duration("48h")',
  'request.kind == "x509" && request.keyType in ["ec-p256", "ec-p384"]',
  'request.ttlSeconds == 3600 && size(request.audience) == 0',
  'now > timestamp("2026-11-22T00:00:00Z")',
  'now.hour() == 22 && now.weekday() == 7 && now.date() == "2026-11-22"',
  'entry.path.under("/ns/pay") && entry.path.under("/ns/pay/") && entry.path.under("/")',
  '!entry.path.under("/ns/pa") && !entry.path.under("/ns/pay/sa/api/x")',
  'entry.path.segment(1) == "pay" && entry.path.segment(9) == "" && entry.path.segment(0) == "ns"',
])('the facts: %s', (when) => {
  expect(decide([rule('deny', when)])).toMatchObject({ kind: 'deny', reason: 'why' });
});

describe('a document is refused', () => {
  test.for([
    ['entry.colour == "red"', 'there is no fact "colour" here'],
    ['colour == "red"', 'Unknown variable: colour'],
    ['request.ttlSeconds > "a"', 'no such overload: int > string'],
    ['request.ttlSeconds', 'this is of type int'],
    ['entry.path.startsWith(', 'Unexpected token'],
    ['entry.path.matches("(a+)+$")', 'matches() is not for rules'],
    ['dyn(entry).colour == 1', 'dyn() is not for rules'],
    ['has(entry.colour)', 'has() is not for rules'],
    [
      'node.selectors.all(a, node.selectors.all(b, node.selectors.all(c, a == b && b == c)))',
      'loops stand in one another',
    ],
    [`${'('.repeat(60)}true${')'.repeat(60)}`, 'maxDepth'],
    [Array.from({ length: 500 }, () => 'true').join('&&'), 'characters'],
    [Array.from({ length: 250 }, () => 'true').join('||'), 'maxAstNodes'],
  ])('%s', ([when = '', reason = '']) => {
    expect(faultsOf(document([rule('deny', when)])).join()).toContain(reason);
  });

  test('with every fault at its line and column, inside folded text too', () => {
    const text = [
      'rules:',
      '  - name: a',
      '    effect: deny',
      '    when: >',
      '      entry.path.under("/x")',
      '      && entry.foo == 3',
      '    reason: x',
      '  - name: b',
      '    effect: deni',
      `    when: 'request.ttlSeconds && true'`,
      '    color: red',
    ].join('\n');
    const faults = faultsOf(text);
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual([
      '6:16',
      '8:5',
      '9:13',
      '10:12',
      '11:5',
    ]);
  });

  test.for([
    [document([rule('deny', 'true', 'a'), rule('deny', 'true', 'a')]), 'another rule is named a'],
    [document([rule('deny', 'true', 'default')]), 'the case of no rule'],
    [document([rule('deny', 'true', 'Has Spaces')]), '1 to 64'],
    ['rules: []\nrule: []', 'unknown key'],
    ['{}', 'is required'],
    [
      document([], {
        tests: [
          { name: 't', expect: 'deny', rule: 'x', facts: { entry: { spiffeId: 'spiffe://a/b' } } },
        ],
      }),
      'no rule is named x',
    ],
  ])('%s', ([text = '', reason = '']) => {
    expect(faultsOf(text).join()).toContain(reason);
  });
});

test('whatever text an expression is, it is compiled or refused with a place inside it', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (when) => {
      const outcome = faultsOf(document([rule('deny', when)]));
      expect(outcome.length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 200 },
  );
});
