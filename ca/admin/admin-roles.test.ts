import { describe, expect, test } from 'vitest';
import { parseSpiffeId } from '../../spiffe/index.ts';
import {
  decideRole,
  type Grant,
  grantsOf,
  isWithin,
  mayPlace,
  roleRuleField,
} from './admin-roles.ts';

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
    // What a viewer reads of a secret has no value in it; whose values they are is an admin's to say.
    [[{ role: 'viewer' }], 'secrets', 'read', true],
    [[{ role: 'viewer' }], 'secrets', 'create', false],
    [[{ role: 'operator' }], 'secrets', 'create', false],
    [[{ role: 'operator' }], 'secrets', 'delete', false],
    [[{ role: 'admin' }], 'secrets', 'create', true],
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

  const node = '/signet/node/join-token/1';
  test.for<[Grant[], string, string, boolean]>([
    [[{ role: 'operator', paths: ['/a'] }], '/a/web', '/a/pool', true],
    [[{ role: 'operator', paths: ['/a'] }], '/a/web', '/b/pool', false],
    [[{ role: 'operator', paths: ['/a'] }], '/a/web', node, false],
    [[{ role: 'operator', paths: ['/a'] }], '/a/pool', '/signet/ca', false],
    [[{ role: 'operator', paths: ['/a'], parents: ['/signet/node'] }], '/a/web', node, true],
    [[{ role: 'operator', paths: ['/a'], parents: ['/signet/node'] }], '/a/web', '/a/pool', false],
    [[{ role: 'operator', paths: ['/a'], parents: ['/signet/node'] }], '/a/p', '/signet/ca', false],
    [[{ role: 'operator', paths: ['/a'], parents: ['/signet/ca'] }], '/a/p', '/signet/ca', true],
    // Two halves of two grants make no whole.
    [
      [
        { role: 'operator', paths: ['/a'] },
        { role: 'operator', paths: ['/b'], parents: ['/pool'] },
      ],
      '/a/web',
      '/pool/1',
      false,
    ],
  ])('%j may give %s on %s: %s', ([grants, path, parent, expected]) => {
    const verdict = decideRole(grants, { resource: 'entries', verb: 'create' });
    const reaches = verdict.kind === 'allowed' ? verdict.reaches : [];
    const placement = {
      spiffeId: `spiffe://mesh.test${path}`,
      parentId: `spiffe://mesh.test${parent}`,
    };
    expect(mayPlace(reaches ?? [], placement)).toBe(expected);
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
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'admin', parents: ['/a'] }, 'give paths too'],
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'admin', verbs: [] }, '1'],
    [{ spiffeId: 'spiffe://mesh.test/ops', role: 'admin', path: ['/a'] }, 'path'],
  ] as const)('%j in a config is refused', ([rule, text]) => {
    const result = roleRuleField.safeParse(rule);
    expect(result.success).toBe(false);
    expect(result.error?.message).toContain(text);
  });
});
