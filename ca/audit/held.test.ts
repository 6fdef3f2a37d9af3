import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import type { AuditedCertificate, AuditEvent } from './event.ts';
import { heldBy, type Holding } from './held.ts';
import { openAuditLog } from './log.ts';

const web = 'spiffe://mesh.test/web';
const node = (name: string): string => `spiffe://mesh.test/signet/node/x/${name}`;
const minute = (minutes: number): string => new Date(minutes * 60_000).toISOString();
const admin = { kind: 'admin', id: 'uid:0' } as const;
const system = { kind: 'system', id: 'ca' } as const;
const outMinute = 3;

/** As a program wrote it that kept neither the DNS names nor the hash of what was signed: such logs stay readable. */
function certificate(serial: string, spiffeId: string, lifeMinutes = 60): AuditedCertificate {
  return {
    serial,
    spiffeId,
    spkiSha256: serial,
    notBefore: minute(0),
    notAfter: minute(lifeMinutes),
    issuerKeyId: 'issuing-1',
  };
}

const issuedTo = (name: string, serial: string, lifeMinutes?: number): AuditEvent => ({
  type: 'svid.issued',
  actor: { kind: 'node', id: node(name) },
  certificate: certificate(serial, web, lifeMinutes),
});

/** Each is recorded at the minute of its group. */
const minutes: readonly (readonly AuditEvent[])[] = [
  [
    {
      type: 'authority.issuing_rotated',
      actor: system,
      keyId: 'issuing-1',
      certificate: { ...certificate('1', 'spiffe://mesh.test'), issuerKeyId: 'root-1' },
    },
    {
      type: 'node.attested',
      actor: { kind: 'node', id: '' },
      nodeId: node('banned'),
      attestor: 'join_token',
      selectors: [],
      certificate: certificate('2', node('banned')),
    },
    issuedTo('banned', '3'),
    issuedTo('evicted', '4'),
    issuedTo('calm', '5'),
    issuedTo('evicted', '6', 2),
  ],
  [],
  [],
  [
    { type: 'node.banned', actor: admin, nodeId: node('banned'), reason: 'stolen' },
    { type: 'node.evicted', actor: admin, nodeId: node('evicted') },
  ],
  [],
  [{ type: 'authority.revoked', actor: admin, authority: { keyId: 'root-1' } }],
];

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'held-'));
  const clock = new ManualClock(0);
  const { privateKey } = generateKeyPairSync('ed25519');
  const log = await openAuditLog({ directory, clock, signKey: privateKey, origin: 'a/b' });
  for (const events of minutes) {
    await Promise.all(events.map((event) => log.append(event)));
    await clock.advance(60_000);
  }
  await log.close();
});
afterAll(() => rm(directory, { recursive: true }));

async function held(spiffeId: string): Promise<ReadonlyMap<string, Holding>> {
  const span = { fromMs: 0, toMs: Date.parse(minute(60)) };
  const holdings = await heldBy({ directory, spiffeId, ...span });
  return new Map(holdings.map((holding) => [holding.serial, holding]));
}

test('a node that is put out holds its own identity no longer: the CA refuses it from then on', async () => {
  expect((await held(node('banned'))).get('2')).toMatchObject({
    nodeOut: { type: 'node.banned', time: minute(outMinute) },
    overlap: { from: minute(0), to: minute(outMinute) },
  });
});

test('what it had got for a workload, peers go on accepting: told, and not taken away', async () => {
  const holdings = await held(web);
  expect(holdings.get('3')).toMatchObject({ nodeOut: { type: 'node.banned' } });
  expect(holdings.get('4')).toMatchObject({ nodeOut: { type: 'node.evicted' } });
  expect(holdings.get('5')?.nodeOut).toBeUndefined();
  // It had ended by then.
  expect(holdings.get('6')).toMatchObject({ nodeOut: undefined, overlap: { to: minute(2) } });
});

test('a root that is revoked ends what stands under the issuing authorities below it', async () => {
  for (const serial of ['3', '4', '5']) {
    expect((await held(web)).get(serial)).toMatchObject({
      revoked: { time: minute(5) },
      overlap: { from: minute(0), to: minute(5) },
    });
  }
});
