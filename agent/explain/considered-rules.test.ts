import { expect, test } from 'vitest';
import type { DerivableEntry } from '../ca-state.ts';
import { consideredRules } from './considered-rules.ts';

const rule: DerivableEntry = {
  id: 'r',
  selectors: ['k8s:sa:web'],
  parts: [
    { kind: 'text', text: 'spiffe://mesh.test/ns/' },
    { kind: 'fact', prefix: 'k8s:ns:' },
  ],
  hint: '',
  priority: 0,
  createdAtMs: 0,
  revision: 1n,
};

test.for([
  ['fits', ['k8s:sa:web', 'k8s:ns:shop'], 'spiffe://mesh.test/ns/shop', [], []],
  ['lacks a condition', ['k8s:ns:shop'], undefined, ['k8s:sa:web'], []],
  ['lacks a fact', ['k8s:sa:web'], undefined, ['k8s:ns:…'], []],
  [
    'has two facts for one',
    ['k8s:sa:web', 'k8s:ns:a', 'k8s:ns:b'],
    undefined,
    [],
    ['k8s:ns:a and k8s:ns:b: which one is not said'],
  ],
  [
    'has a fact that is no segment',
    ['k8s:sa:web', 'k8s:ns:a/b'],
    undefined,
    [],
    ['"a/b" of k8s:ns: is no segment of a SPIFFE ID\'s path'],
  ],
] as const)('a rule that %s', ([, selectors, spiffeId, lacking, faults]) => {
  const [considered] = consideredRules([rule], new Set(selectors));
  expect(considered).toEqual({
    ruleId: 'r',
    template: 'spiffe://mesh.test/ns/{k8s:ns}',
    ...(spiffeId === undefined ? {} : { spiffeId }),
    lacking,
    faults,
  });
});

test('those that fit come first, and there are at most sixteen', () => {
  const many = Array.from({ length: 40 }, (_, index) => ({
    ...rule,
    id: `r${index}`,
    ...(index === 39 ? { selectors: [] } : {}),
  }));
  const considered = consideredRules(many, new Set(['k8s:ns:shop']));
  expect(considered).toHaveLength(16);
  expect(considered[0]?.ruleId).toBe('r39');
});
