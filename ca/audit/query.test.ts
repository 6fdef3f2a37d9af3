import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import type { AuditedCertificate, AuditEvent } from './event.ts';
import { heldBy } from './held.ts';
import { openAuditLog } from './log.ts';
import { indexOfSerial, queryAudit, queryPage, type QueryOptions } from './query.ts';

const web = 'spiffe://mesh.test/web';
const nodeA = 'spiffe://mesh.test/signet/node/x/a';
const nodeB = 'spiffe://mesh.test/signet/node/x/b';
const hour = (hours: number): string => new Date(hours * 3_600_000).toISOString();

/** As a program wrote it that kept neither the DNS names nor the hash of what was signed: such logs stay readable. */
function certificate(serial: string, fromHour: number, spiffeId = web): AuditedCertificate {
  return {
    serial,
    spiffeId,
    spkiSha256: serial.repeat(4),
    notBefore: hour(fromHour),
    notAfter: hour(fromHour + 1),
    issuerKeyId: fromHour < 4 ? 'aa' : 'bb',
    entryId: 'entry-1',
  };
}

const byNode = (id: string) => ({ kind: 'node', id }) as const;
const admin = { kind: 'admin', id: 'uid:0 pid:7' } as const;

/** Each is recorded at the hour of its place. */
const events: readonly AuditEvent[] = [
  { type: 'svid.issued', actor: byNode(nodeA), certificate: certificate('0a', 0) },
  { type: 'svid.issued', actor: byNode(nodeB), certificate: certificate('0b', 1) },
  { type: 'svid.issued', actor: byNode(nodeB), certificate: certificate('0c', 1, `${web}/2`) },
  { type: 'node.removed', actor: admin, nodeId: nodeA },
  { type: 'svid.issued', actor: byNode(nodeB), certificate: certificate('0d', 4) },
  {
    type: 'svid.denied',
    actor: byNode(nodeB),
    spiffeId: web,
    refusal: { code: 'x', detail: `it names "${web}"` },
  },
  {
    type: 'svid.revoked',
    actor: admin,
    by: 'serial',
    target: '0b',
    reason: 'key_compromise',
    serials: ['0b'],
    blocked: false,
  },
  { type: 'authority.revoked', actor: admin, authority: { keyId: 'bb' } },
];

describe('asking an audit log', () => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'query-'));
    const clock = new ManualClock(0);
    const log = await openAuditLog({
      directory,
      clock,
      signKey: generateKeyPairSync('ed25519').privateKey,
      origin: 'mesh.test/signet/audit',
      segmentBytesMax: 1000,
    });
    for (const event of events) {
      await log.append(event);
      await clock.advance(3_600_000);
    }
    await log.close();
  });

  afterAll(() => rm(directory, { recursive: true }));

  async function found(filter: Omit<QueryOptions, 'directory'>): Promise<number[]> {
    const indexes: number[] = [];
    for await (const { index } of queryAudit({ directory, ...filter })) indexes.push(index);
    return indexes;
  }

  test.for<{ name: string; filter: Omit<QueryOptions, 'directory'>; expected: number[] }>([
    { name: 'everything', filter: {}, expected: [0, 1, 2, 3, 4, 5, 6, 7] },
    { name: 'one type', filter: { types: ['svid.denied'] }, expected: [5] },
    { name: 'all of a kind', filter: { types: ['svid.*'] }, expected: [0, 1, 2, 4, 5, 6] },
    { name: 'two types', filter: { types: ['svid.denied', 'node.*'] }, expected: [3, 5] },
    { name: 'no such type', filter: { types: ['svid'] }, expected: [] },
    { name: 'an identity, exactly', filter: { spiffeId: web }, expected: [0, 1, 4, 5] },
    { name: 'a serial, revocation included', filter: { serial: '0b' }, expected: [1, 6] },
    { name: 'a node, by and about it', filter: { node: nodeA }, expected: [0, 3] },
    { name: 'an actor', filter: { actor: 'uid:0' }, expected: [3, 6, 7] },
    { name: 'an actor, exactly', filter: { actor: 'uid:0 pid:7' }, expected: [3, 6, 7] },
    { name: 'no half of a word of an actor', filter: { actor: 'uid' }, expected: [] },
    {
      name: 'a span, its end not in it',
      filter: { fromMs: Date.parse(hour(1)), toMs: Date.parse(hour(3)) },
      expected: [1, 2],
    },
    {
      name: 'all of these',
      filter: { spiffeId: web, node: nodeB, fromIndex: 2 },
      expected: [4, 5],
    },
    { name: 'no further than what is durable', filter: { endIndex: 2 }, expected: [0, 1] },
    { name: 'a serial with a quote', filter: { serial: '0"b' }, expected: [] },
  ])('$name', async ({ filter, expected }) => {
    expect(await found(filter)).toEqual(expected);
  });

  test('a page says where to go on', async () => {
    const first = await queryPage({ directory, spiffeId: web }, 3);
    expect(first.records.map(({ index }) => index)).toEqual([0, 1, 4]);
    expect(first.next).toBe(5);
    const last = await queryPage({ directory, spiffeId: web, fromIndex: first.next }, 3);
    expect([last.records.length, last.next]).toEqual([1, undefined]);
  });

  test('the record that issued a serial', async () => {
    expect(await indexOfSerial({ directory }, '0d')).toBe(4);
    expect(await indexOfSerial({ directory }, 'ff')).toBeUndefined();
  });

  test('who could have held an identity: key, node, overlap, and what was revoked when', async () => {
    const span = { fromMs: Date.parse(hour(0.5)), toMs: Date.parse(hour(4.5)) };
    const holdings = await heldBy({ directory, spiffeId: web, ...span });
    expect(holdings).toEqual([
      {
        index: 0,
        kind: 'x509',
        serial: '0a',
        node: nodeA,
        spkiSha256: '0a0a0a0a',
        entryId: 'entry-1',
        notBefore: hour(0),
        notAfter: hour(1),
        overlap: { from: hour(0.5), to: hour(1) },
        revoked: undefined,
      },
      expect.objectContaining({
        serial: '0b',
        node: nodeB,
        overlap: { from: hour(1), to: hour(2) },
        revoked: { index: 6, time: hour(6) },
      }),
      // Its authority was revoked; the certificate itself was never named.
      expect.objectContaining({
        serial: '0d',
        overlap: { from: hour(4), to: hour(4.5) },
        revoked: { index: 7, time: hour(7) },
      }),
    ]);
    const after = { fromMs: Date.parse(hour(5.5)), toMs: Date.parse(hour(6)) };
    expect(await heldBy({ directory, spiffeId: web, ...after })).toEqual([]);
  });
});
