import { expect, test } from 'vitest';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { compileRule, entryOfRule, parseIdentityRule, type RuleDraft } from './identity-rule.ts';
import { parseSelector } from './selector.ts';
import { derivableOf, entryOfWorkload } from './workload-identity.ts';

const trustDomain = parseTrustDomain('mesh.test');
const node = {
  id: parseSpiffeId('spiffe://mesh.test/signet/node/x509pop/a1'),
  selectors: [parseSelector('x509pop:subject:cn:web-7'), parseSelector('unix:user:root')],
  attestedAtMs: 1000,
};
const draft: RuleDraft = {
  template: 'spiffe://{td}/{x509pop.cn}/{unix.user}',
  selectors: ['unix:group:staff'],
  trust: { unix: 'agent' },
};
const ruleOf = (changes: Partial<RuleDraft> = {}) =>
  compileRule(
    { ...parseIdentityRule({ ...draft, ...changes }, trustDomain), id: 'r1', createdAtMs: 1 },
    trustDomain,
  );
const good = ['unix:group:staff', 'unix:user:web'];

test('the node is told of the rule with its own facts filled in, and of no entry', () => {
  expect(entryOfRule(ruleOf(), node)).toBeUndefined();
  expect(derivableOf(ruleOf(), node)).toMatchObject({
    id: 'rule:r1:x509pop/a1',
    selectors: ['unix:group:staff'],
    parts: [
      { kind: 'text', text: 'spiffe://mesh.test/' },
      { kind: 'text', text: 'web-7' },
      { kind: 'text', text: '/' },
      { kind: 'fact', prefix: 'unix:user:' },
    ],
  });
  expect(derivableOf(ruleOf(), { ...node, selectors: [] })).toBeUndefined();
  expect(derivableOf(ruleOf({ nodeSelectors: ['a:b'] }), node)).toBeUndefined();
});

test('a workload is named by what its agent attests, and a node by what it proved', () => {
  expect(entryOfWorkload(ruleOf(), node, good)).toMatchObject({
    id: 'rule:r1:x509pop/a1',
    spiffeId: 'spiffe://mesh.test/web-7/web',
    parentId: node.id,
    selectors: good,
  });
});

test.for<[string, readonly string[]]>([
  ['no selectors', []],
  ['a condition that does not hold', ['unix:user:web']],
  ['no fact', ['unix:group:staff']],
  ['two values of one fact', [...good, 'unix:user:root']],
  ['a value of two segments', ['unix:group:staff', 'unix:user:a/b']],
  ['a step upwards', ['unix:group:staff', 'unix:user:..']],
  ['a selector beside them', [...good, 'unix:uid:7']],
  ['a fact of the node', [...good, 'x509pop:subject:cn:db-1']],
  ['what is no selector', [...good, 'unix']],
  ['very many', [...good, ...Array.from({ length: 100 }, (_, n) => `unix:user:u${n}`)]],
  ['a very long one', ['unix:group:staff', `unix:user:${'a'.repeat(20_000)}`]],
])('%s gives nothing', ([, shown]) => {
  expect(entryOfWorkload(ruleOf(), node, shown)).toBeUndefined();
});

test('what a value completes is still kept for the CA', () => {
  const rule = ruleOf({ template: 'spiffe://{td}/{unix.user}/ca' });
  expect(entryOfWorkload(rule, node, ['unix:group:staff', 'unix:user:signet'])).toBeUndefined();
  expect(entryOfWorkload(rule, node, good)?.spiffeId).toBe('spiffe://mesh.test/web/ca');
});

test('without trust no word of an agent names anybody', () => {
  const rule = ruleOf({ template: 'spiffe://{td}/{unix.user}', trust: {} });
  expect(entryOfWorkload(rule, node, good)).toBeUndefined();
  expect(derivableOf(rule, node)).toBeUndefined();
});

test.for([
  [{ trust: { k8s: 'agent' } }, 'no placeholder of type "k8s"'],
  [{ trust: { x509pop: 'agent' } }, 'what a node proves of itself'],
] as const)('%j is refused', ([changes, text]) => {
  expect(() => ruleOf(changes)).toThrow(text);
  expect(ruleOf({ trust: { unix: 'agent', x509pop: 'node' } }).agentPrefixes).toEqual([
    'unix:user:',
  ]);
});
