import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { parseCaConfig, type RunningCa, startCa, verifyAuditLog } from '../../ca/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { parseCertificate, pemEncode } from '../../pki/index.ts';
import { parseBundle, parseTrustDomain, verifyX509Svid } from '../../spiffe/index.ts';
import { type CaAddress, joinNode } from './ca-client.ts';

const trustDomain = parseTrustDomain('mesh.test');
let directory: string;
let admin: AdminClient;
let ca: RunningCa;
const kek = randomBytes(32).toString('hex');

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'signet-ca-'));
  await start();
});

afterEach(async () => {
  await ca.close();
  await rm(directory, { recursive: true, force: true });
});

async function start(): Promise<void> {
  const config = parseCaConfig(
    JSON.stringify({
      trustDomain,
      data: directory,
      listen: '127.0.0.1:0',
      keyEncryptionKey: { env: 'KEK' },
      lifetimes: { root: '1h', issuing: '60s', x509Svid: '10s', nodeSvid: '30s', backdate: '5s' },
    }),
    'ca.yaml',
  );
  ca = await startCa(config, {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: { KEK: kek },
  });
  admin = adminClient(ca.adminSocket);
}

async function address(): Promise<CaAddress> {
  const bundle = parseBundle(await admin.bundle(), trustDomain);
  const roots = bundle.x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
  return { port: ca.agentPort, roots };
}

test('a token becomes a node, an entry reaches it, and a workload gets its certificate', async () => {
  const token = await admin.createToken({ ttlSeconds: 60 });
  const node = await joinNode(await address(), token.token);
  expect(node.spiffeId).toBe(token.spiffeId);

  const sync = node.sync();
  const first = await sync.state(() => true);
  expect(first.entries).toEqual([]);
  const entry = await admin.createEntry({
    spiffeId: 'spiffe://mesh.test/web',
    parentId: node.spiffeId,
    selectors: ['unix:uid:1000'],
    dnsNames: ['web'],
  });
  const state = await sync.state(({ entries }) => entries.length === 1);
  expect(state.revision).toBeGreaterThan(first.revision);
  expect(state.entries[0]).toMatchObject({ id: entry.id, x509SvidTtlMs: 10_000n });
  sync.acknowledge(state.revision);

  const { items } = await node.sign(entry.id);
  const outcome = items[0]?.outcome;
  if (outcome?.$case !== 'chain') throw new Error(JSON.stringify(items));
  const bundle = parseBundle(Buffer.from(state.bundle).toString(), trustDomain);
  expect(
    verifyX509Svid({
      chain: outcome.value.certificates.map((der) => parseCertificate(der)),
      bundles: new Map([[trustDomain, bundle]]),
      atMs: Date.now(),
      purpose: 'serverAuth',
    }),
  ).toMatchObject({ kind: 'valid', id: 'spiffe://mesh.test/web' });

  const status = await admin.status();
  expect(status).toMatchObject({ entries: 1, nodes: 1, nodesConnected: 1, trustDomain });
  await sync.cancel();
  node.close();
  await ca.close();
  expect(await verifyAuditLog({ directory: join(directory, 'audit') })).toMatchObject({
    kind: 'ok',
  });
});
