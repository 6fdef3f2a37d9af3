import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parsePolicyDocument } from './policy-document.ts';
import { runPolicyTests } from './run-policy-tests.ts';

const directory = new URL('examples/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, directory), 'utf8');

test.for(readdirSync(directory))('%s passes its own tests, and they cover each rule', (name) => {
  const document = parsePolicyDocument(read(name), name);
  const results = runPolicyTests(document);
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
  const decided = new Set(results.map(({ verdict }) => verdict.rule));
  expect(decided).toEqual(new Set(['default', ...document.policy.rules.map((rule) => rule.name)]));
});

test('a test that expects another verdict, or another rule, fails', () => {
  const text = read('key-type-floor.yaml');
  const failed = (changed: string): readonly string[] =>
    runPolicyTests(parsePolicyDocument(changed, 'p.yaml'))
      .filter(({ passed }) => !passed)
      .map(({ name }) => name);
  expect(failed(text.replace('expect: allow', 'expect: deny'))).toEqual(['P-256']);
  expect(failed(text.replace('    rule: no-small-rsa', '    rule: admin-p384'))).toEqual([
    'RSA of 2048 bits',
  ]);
});
