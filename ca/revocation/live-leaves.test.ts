import { describe, expect, test } from 'vitest';
import type { AuditEvent } from '../audit/event.ts';
import { leafOf, LiveLeaves, serialText } from './live-leaves.ts';

const leaf = (serial: string, notAfterMs = 1000) => ({
  serial,
  spiffeId: 'spiffe://mesh.test/web',
  nodeId: 'spiffe://mesh.test/signet/node/join-token/a',
  issuerKeyId: 'aa',
  notAfterMs,
});

describe('live leaves', () => {
  test('end by themselves', () => {
    const leaves = new LiveLeaves();
    leaves.add(leaf('01', 1000));
    leaves.add(leaf('02', 2000));
    leaves.prune(1500);
    expect(leaves.matching(() => true).map(({ serial }) => serial)).toEqual(['02']);
    expect(leaves.isComplete).toBe(true);
  });

  test('over the bound the oldest goes, and it is known that one is missing', () => {
    const leaves = new LiveLeaves(2);
    for (const serial of ['01', '02', '03']) leaves.add(leaf(serial));
    expect(leaves.size).toBe(2);
    expect(leaves.get('01')).toBeUndefined();
    expect(leaves.isComplete).toBe(false);
  });
});

test('an event that issued something is a leaf, another is none', () => {
  const certificate = {
    serial: '0a',
    spiffeId: 'spiffe://mesh.test/web',
    spkiSha256: '',
    notBefore: '1970-01-01T00:00:00.000Z',
    notAfter: '1970-01-01T00:00:01.000Z',
    issuerKeyId: 'aa',
  };
  const actor = { kind: 'node', id: 'spiffe://mesh.test/signet/node/join-token/a' } as const;
  const issued: AuditEvent = { actor, type: 'svid.issued', certificate };
  expect(leafOf(issued)).toEqual(leaf('0a'));
  expect(leafOf({ ...issued, actor: { kind: 'system', id: 'ca' } })?.nodeId).toBeUndefined();
  expect(leafOf({ actor, type: 'ca.stopped' })).toBeUndefined();
});

test.for<readonly [string, string]>([
  ['0a', '0a'],
  ['A', '0a'],
  ['0x0A', '0a'],
  ['01:AB', '01ab'],
  ['0001ab', '01ab'],
  ['00', '00'],
])('the serial %s is %s', ([text, expected]) => {
  expect(serialText(text)).toBe(expected);
});
