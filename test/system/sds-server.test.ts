/** SDS over mutual TLS: `signet sds-server run` as a process, clients with certificates of every kind. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { freePorts } from '../../core/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { parseCertificate } from '../../pki/index.ts';
import { tlsChannel } from '../../rpc/index.ts';
import { checkLeaf } from '../../spiffe/index.ts';
import { FakeCa } from '../fakes/fake-ca.ts';
import { certificateOf, rootsOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { makeTestPki, type TestLeaf, type TestPki } from '../fakes/test-pki.ts';

let directory: string;
let ca: FakeCa;
let server: Child;
let port: number;
const clients: SdsClient[] = [];

const limit = { connections: 64, requestsPerSecondPerCaller: 5, streamsPerCaller: 3 };

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sds-server-'));
  for (const name of ['logs', 'tmp']) mkdirSync(join(directory, name));
  ca = new FakeCa({ tokens: ['token'] });
  await ca.start();
  ca.setEntries(
    ['one', 'two', 'three', 'short', 'gone'].map((name) => ({
      id: name,
      spiffeId: `spiffe://mesh.test/app/${name}`,
      selectors: [`mtls:spiffe_id:spiffe://mesh.test/edge/${name}`, 'mtls:trust_domain:mesh.test'],
    })),
  );
  [port = 0] = await freePorts(1);
  const config = join(directory, 'sds-server.yaml');
  writeFileSync(
    config,
    JSON.stringify({
      trustDomain: 'mesh.test',
      ca: { address: ca.address, rootSha256: ca.rootSha256 },
      join: { token: 'token' },
      listen: `127.0.0.1:${port}`,
      limits: limit,
      adminSocket: join(directory, 'admin.sock'),
      cache: 'off',
    }),
  );
  server = startChild({
    name: 'sds-server',
    directory,
    script: signetScript,
    args: ['sds-server', 'run', '--config', config],
  });
  await vi.waitFor(
    () => expect(ca.syncRequests.at(-1)?.appliedRevision).toBe(ca.revision),
    startWait,
  );
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await server.stop('SIGTERM');
  await ca.stop();
  rmSync(directory, { recursive: true });
});

/** An SDS client that shows `leaf`, or nothing. */
function connect(leaf: TestLeaf | undefined): SdsClient {
  const context = createSecureContext({
    ca: ca.roots.map((root) => root.root.pem),
    minVersion: 'TLSv1.3',
    ...(leaf === undefined ? {} : { cert: leaf.chainPem, key: leaf.keyPem }),
  });
  const channel = tlsChannel({ host: '127.0.0.1', port }, context, (der) => {
    const verdict = checkLeaf(parseCertificate(der));
    return verdict.kind === 'ok' && verdict.id.startsWith('spiffe://mesh.test/signet/node/')
      ? undefined
      : 'not the SDS server';
  });
  const client = new SdsClient(channel);
  clients.push(client);
  return client;
}

const leafOf = async (name: string, pki: TestPki | undefined = ca.active): Promise<TestLeaf> =>
  (pki ?? (await ca.addRoot())).issueLeaf({ id: `/edge/${name}` });

const idOf = (client: SdsClient): string | undefined =>
  new X509Certificate(certificateOf(secretsOf(client.last).get('default')).chain).subjectAltName;

/** Subscribes until there is an answer, which a new identity takes a moment for. */
async function served(client: SdsClient, name: string): Promise<void> {
  client.ask(['default', 'ROOTCA']);
  await vi.waitFor(() => {
    expect(client.ended).toBeUndefined();
    expect(idOf(client)).toBe(`URI:spiffe://mesh.test/app/${name}`);
  }, wait);
}

test('a caller is known by its certificate, and follows a rotation of the root', async () => {
  const client = connect(await leafOf('one'));
  await served(client, 'one');
  client.acknowledge(['default', 'ROOTCA']);
  const { chain } = certificateOf(secretsOf(client.last).get('default'));
  await ca.activate(await ca.addRoot());
  await vi.waitFor(() => {
    const secrets = secretsOf(client.last);
    expect(rootsOf(secrets.get('ROOTCA')).get('')).toHaveLength(2);
    // The new roots come first, the certificate under them when it is made.
    if (certificateOf(secrets.get('default')).chain === chain) {
      client.acknowledge(['default', 'ROOTCA']);
      expect.fail('the certificate of the old root');
    }
  }, slowWait);
  expect(client.ended).toBeUndefined();
});

test('nobody without a certificate and nobody of another trust domain; one of ours with no entry gets nothing', async () => {
  const stranger = connect(undefined);
  stranger.ask(['default', 'ROOTCA']);
  const foreign = await makeTestPki({ trustDomain: 'other.test', nowMs: Date.now() });
  const alien = connect(await foreign.issueLeaf({ id: 'spiffe://other.test/edge/one' }));
  alien.ask(['default', 'ROOTCA']);
  // Of our name, by an authority that is not ours.
  const forger = connect(await leafOf('one', await makeTestPki({ nowMs: Date.now() + 1 })));
  forger.ask(['default', 'ROOTCA']);
  for (const refused of [stranger, alien, forger]) {
    await vi.waitFor(() => expect(refused.ended?.code).toBe(14), wait);
    expect(refused.responses).toEqual([]);
  }

  const idle = connect(await leafOf('nobody'));
  idle.ask(['default', 'ROOTCA']);
  const honest = connect(await leafOf('two'));
  await served(honest, 'two');
  expect(idle.ended).toBeUndefined();
  expect(secretsOf(idle.last).size).toBe(0);
});

test('over its rate a caller is told when to come again, and another is unharmed', async () => {
  const honest = connect(await leafOf('two'));
  await served(honest, 'two');
  const greedy = connect(await leafOf('three'));
  await served(greedy, 'three');
  for (let at = 0; at < 40; at += 1) greedy.ask([`name-${at}`]);
  await vi.waitFor(() => expect(greedy.ended?.code).toBe(8), wait);
  expect(greedy.ended?.details).toContain('more than 5 requests per second');
  expect(Number(greedy.ended?.metadata.get('signet-retry-ms')[0])).toBeGreaterThan(0);
  // Another connection of the same identity has no other share.
  const again = connect(await leafOf('three'));
  again.ask(['default']);
  await vi.waitFor(() => expect(again.ended?.code).toBe(8), wait);

  const before = honest.responses.length;
  honest.ask(['default'], { responseNonce: honest.last?.nonce ?? '' });
  await vi.waitFor(() => expect(honest.responses.length).toBeGreaterThan(before), wait);
  expect(honest.ended).toBeUndefined();

  // It waits as it was told, and is served.
  await vi.waitFor(
    async () => {
      const patient = connect(await leafOf('three'));
      patient.ask(['default']);
      await vi.waitFor(() => expect(patient.responses).toHaveLength(1), { timeout: 500 });
    },
    { timeout: 8000, interval: 300 },
  );
});

test('streams beyond the bound are refused one by one', async () => {
  const client = connect(await leafOf('two'));
  await served(client, 'two');
  const ends: number[] = [];
  const more = [1, 2, 3].map(() => {
    const stream = client.client.streamSecrets();
    stream.on('data', () => {});
    stream.on('error', (error: Error & { code: number }) => ends.push(error.code));
    return stream;
  });
  await vi.waitFor(() => expect(ends).toEqual([8]), wait);
  for (const stream of more) stream.cancel();
  expect(client.ended).toBeUndefined();
});

test('a revoked caller loses its streams and is not let in again; the others go on', async () => {
  const leaf = await leafOf('gone');
  const client = connect(leaf);
  await served(client, 'gone');
  const other = connect(await leafOf('two'));
  await served(other, 'two');
  ca.revokedSerials = [leaf.certificate.serial];
  ca.push();
  await vi.waitFor(() => expect(client.ended).toBeDefined(), wait);
  const again = connect(leaf);
  again.ask(['default']);
  await vi.waitFor(() => expect(again.ended?.code).toBe(14), wait);
  // With a certificate that is not revoked it is who it was.
  await served(connect(await leafOf('gone')), 'gone');
  expect(other.ended).toBeUndefined();
});

test('a connection ends with the certificate that it was made with', async () => {
  const pki = ca.active;
  const nowMs = Date.now();
  const leaf = await pki?.issueLeaf({
    id: '/edge/short',
    notBeforeMs: nowMs - 60_000,
    notAfterMs: nowMs + 4000,
  });
  const client = connect(leaf);
  const lasting = connect(await leafOf('two'));
  await served(client, 'short');
  await served(lasting, 'two');
  await vi.waitFor(() => expect(client.ended).toBeDefined(), wait);
  expect(Date.now()).toBeGreaterThan(nowMs + 4000);
  expect(lasting.ended).toBeUndefined();
});

// A program starts; on a busy machine that takes its time.
const startWait = { timeout: 50_000, interval: 50 };
const wait = { timeout: 10_000, interval: 20 };
const slowWait = { timeout: 20_000, interval: 100 };
