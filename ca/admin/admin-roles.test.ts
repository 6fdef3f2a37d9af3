import { describe, expect, test } from 'vitest';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { decideRole, type Grant, grantsOf, isWithin, roleRuleField } from './admin-roles.ts';

const rules = [
  { spiffeId: 'spiffe://mesh.test/ops', role: 'admin' },
  { spiffeId: 'spiffe://mesh.test/team-a', role: 'operator', paths: ['/team-a'] },
  { spiffeId: 'spiffe://mesh.test/*', role: 'viewer', verbs: ['read'] },
].map((rule) => roleRuleField.parse(rule));

describe('a role', () => {
  test.for([
    ['spiffe://mesh.test/ops', ['admin', 'viewer']],
    ['spiffe://mesh.test/team-a', ['operator', 'viewer']],
    ['spiffe://mesh.test/ops/child', ['viewer']],
    ['spiffe://other.test/ops', []],
  ] as const)('is given by rules that name %s', ([id, roles]) => {
    expect(grantsOf(rules, parseSpiffeId(id)).map(({ role }) => role)).toEqual(roles);
  });

  test.for<[Grant[], string, 'read' | 'create' | 'delete' | 'act', boolean]>([
    [[], 'ca', 'read', false],
    [[{ role: 'viewer' }], 'authorities', 'read', true],
    [[{ role: 'viewer' }], 'entries', 'create', false],
    [[{ role: 'operator' }], 'entries', 'delete', true],
    [[{ role: 'operator' }], 'authorities', 'act', false],
    [[{ role: 'operator' }], 'revocations', 'create', false],
    [[{ role: 'operator', verbs: ['create'] }], 'entries', 'delete', false],
    [[{ role: 'operator', verbs: ['create'] }], 'entries', 'create', true],
    [[{ role: 'admin' }], 'authorities', 'act', true],
    [[{ role: 'admin', verbs: ['read'] }], 'authorities', 'act', false],
    [[{ role: 'viewer' }, { role: 'admin' }], 'authorities', 'act', true],
  ])('%j on %s: %s is allowed: %s', ([grants, resource, verb, isAllowed]) => {
    expect(decideRole(grants, { resource, verb }).kind).toBe(isAllowed ? 'allowed' : 'denied');
  });

  test('reaches what the widest of the grants that allow reaches, and no further', () => {
    const scoped: Grant = { role: 'operator', paths: ['/a'] };
    const entries = { resource: 'entries', verb: 'create' } as const;
    expect(decideRole([scoped, { role: 'viewer' }], entries)).toMatchObject({ paths: ['/a'] });
    expect(decideRole([scoped, { role: 'operator' }], entries)).toMatchObject({
      paths: undefined,
    });
  });

  test.for([
    ['spiffe://mesh.test/team-a', true],
    ['spiffe://mesh.test/team-a/web', true],
    ['spiffe://mesh.test/team-ab', false],
    ['spiffe://mesh.test', false],
    ['no id', false],
  ] as const)('within /team-a: %s is %s', ([id, expected]) => {
    expect(isWithin(['/team-a'], id)).toBe(expected);
    expect(isWithin(undefined, id)).toBe(true);
  });

  test.for([
    [{ spiffeId: 'mesh.test/ops', role: 'admin' }, 'not a SPIFFE ID'],
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'root' }, 'viewer'],
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'admin', paths: ['team'] }, '/team-a'],
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'admin', paths: ['/team/'] }, '/team-a'],
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'admin', verbs: [] }, '1'],
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'admin', path: ['/a'] }, 'path'],
  ] as const)('%j in a config is refused', ([rule, text]) => {
    const result = roleRuleField.safeParse(rule);
    expect(result.success).toBe(false);
    expect(result.error?.message).toContain(text);
  });
});
