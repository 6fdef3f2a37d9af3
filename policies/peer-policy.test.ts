import { expect, test } from 'vitest';
import { parseSpiffeId } from '../spiffe/index.ts';
import { decidePeer, parsePeerPolicy, PeerPolicyError } from './peer-policy.ts';

const policy = parsePeerPolicy(['spiffe://mesh.test/web', 'spiffe://partner.test/*']);

test.for([
  ['an ID on the list', 'spiffe://mesh.test/web', 'allow'],
  ['another ID of that trust domain', 'spiffe://mesh.test/api', 'deny'],
  ['an ID below one on the list', 'spiffe://mesh.test/web/x', 'deny'],
  ['an ID that differs in case', 'spiffe://mesh.test/Web', 'deny'],
  ['any ID of a trust domain on the list', 'spiffe://partner.test/a/b', 'allow'],
  ['a trust domain that only begins like one on the list', 'spiffe://partner.test.evil/a', 'deny'],
] as const)('%s', ([, id, kind]) => {
  expect(decidePeer(policy, parseSpiffeId(id)).kind).toBe(kind);
});

test.for([
  ['*'],
  ['spiffe://*/*'],
  ['spiffe://mesh.test/a/*'],
  ['mesh.test'],
  [''],
  ['spiffe://Mesh.test/*'],
])('the pattern %s is refused and named', ([pattern]) => {
  expect(() => parsePeerPolicy([pattern ?? ''])).toThrow(PeerPolicyError);
  expect(() => parsePeerPolicy([pattern ?? ''])).toThrow(JSON.stringify(pattern));
});

test('an empty list is refused, a list of one is not', () => {
  expect(() => parsePeerPolicy([])).toThrow(PeerPolicyError);
  expect(parsePeerPolicy(['spiffe://mesh.test/web']).ids.size).toBe(1);
});
