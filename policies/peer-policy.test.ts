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

test.for([
  ['an ID of its own', 'spiffe://mesh.test/web', 'spiffe://mesh.test/web is on the deny list'],
  ['an ID allowed with its domain', 'spiffe://partner.test/mallory', 'is on the deny list'],
  ['an ID allowed in a denied domain', 'spiffe://lost.test/web', 'is on the deny list'],
  ['an ID that is on neither list', 'spiffe://mesh.test/api', 'is not on the list of peers'],
  ['a neighbour of a denied ID', 'spiffe://partner.test/alice', undefined],
  ['an ID below a denied one', 'spiffe://partner.test/mallory/2', undefined],
] as const)('the deny list comes first: %s', ([, id, reason]) => {
  const denying = parsePeerPolicy(
    ['spiffe://mesh.test/web', 'spiffe://partner.test/*', 'spiffe://lost.test/web'],
    ['spiffe://mesh.test/web', 'spiffe://partner.test/mallory', 'spiffe://lost.test/*'],
  );
  const verdict = decidePeer(denying, parseSpiffeId(id));
  if (reason === undefined) expect(verdict.kind).toBe('allow');
  else expect(verdict).toEqual({ kind: 'deny', reason: expect.stringContaining(reason) });
});

test('a pattern of the deny list is as strict', () => {
  const allowed = ['spiffe://mesh.test/*'];
  expect(() => parsePeerPolicy(allowed, ['mallory'])).toThrow('"mallory"');
  expect(parsePeerPolicy(allowed, ['spiffe://mesh.test/mallory']).denied.ids.size).toBe(1);
});

test('an empty list is refused, a list of one is not', () => {
  expect(() => parsePeerPolicy([])).toThrow(PeerPolicyError);
  expect(parsePeerPolicy(['spiffe://mesh.test/web']).ids.size).toBe(1);
});
