/** The rules of docs/sds/protocol.md and the tests that are named for them: neither has what the other lacks. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot, readSourceFiles } from '../architecture/source-files.ts';

test('each rule of SDS has a test by its number, and each number a rule', () => {
  const page = readFileSync(join(projectRoot, 'docs/sds/protocol.md'), 'utf8');
  const rules = [...page.matchAll(/^\| ([A-Z]\d+) \|/gm)].map(([, rule = '']) => rule);
  expect(new Set(rules).size).toBe(rules.length);
  expect(rules.length).toBeGreaterThan(30);
  const named = readSourceFiles()
    .filter(({ path }) => path.endsWith('.test.ts') && /^(sds-server|test)\//.test(path))
    // In a test's name, and after others at most: `[W3] [W6] what …`.
    .flatMap(({ text }) => [...text.matchAll(/\('((?:\[[A-Z]\d+\] )+)/g)])
    .flatMap(([, numbers = '']) => numbers.match(/[A-Z]\d+/g) ?? []);
  expect([...new Set(named)].toSorted()).toEqual(rules.toSorted());
});
