/** SDS over mutual TLS is all that SDS on an agent's socket is: each protocol, bad input, operators, outages, the CA's reports. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect, createSecureContext, type SecureContext } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRemoteSdsConfig, type RunningRemoteSds, startRemoteSds } from '../../agent/index.ts';
import { agentAdminClient, type DiscoveryResponse, secretTypeUrl } from '../../api/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { type Channel, tlsChannel } from '../../rpc/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { FakeCa } from '../fakes/fake-ca.ts';
import { certificateOf, DeltaSdsClient, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { runSignet } from './signet-command.ts';

let directory: string;
let adminSocket: string;
let ca: FakeCa;
let server: RunningRemoteSds;
const closers: (() => Promise<unknown> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sds-whole-'));
  mkdirSync(join(directory, 'run'));
  adminSocket = join(directory, 'run', 'admin.sock');
  ca = new FakeCa();
  await ca.start();
  ca.setEntries([entry('one'), entry('two')]);
  closers.push(
    () => rmSync(directory, { recursive: true }),
    () => ca.stop(),
  );
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const entry = (name: string) => ({
  id: name,
  spiffeId: `spiffe://mesh.test/app/${name}`,
  selectors: [`mtls:spiffe_id:spiffe://mesh.test/edge/${name}`],
});
const admin = () => agentAdminClient(adminSocket);

async function start(changes: object = {}): Promise<void> {
  const config = {
    trustDomain: 'mesh.test',
    ca: { address: ca.address, rootSha256: ca.rootSha256 },
    join: { token: 'token' },
    listen: '127.0.0.1:0',
    adminSocket,
    ...changes,
  };
  const stop = new AbortController();
  closers.push(() => stop.abort());
  server = await startRemoteSds(parseRemoteSdsConfig(JSON.stringify(config), 'sds-server.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
    version: 'test',
    stopped: stop.signal,
  });
  const started = server;
  closers.push(() => started.close());
  // Before it has heard of its entries, or found them in its cache, it lets nobody in.
  await eventually(async () => expect((await admin().status()).svidCount).toBe(2));
}

/** What the sidecar `name` shows and trusts. */
async function contextOf(name: string): Promise<SecureContext> {
  const leaf = await ca.active?.issueLeaf({ id: `/edge/${name}` });
  return createSecureContext({
    ca: ca.roots.map((root) => root.root.pem),
    minVersion: 'TLSv1.3',
    ...(leaf === undefined ? {} : { cert: leaf.chainPem, key: leaf.keyPem }),
  });
}

async function channelOf(name: string): Promise<Channel> {
  return tlsChannel(
    { host: '127.0.0.1', port: server.port },
    await contextOf(name),
    () => undefined,
  );
}

async function world(name: string): Promise<SdsClient> {
  const client = new SdsClient(await channelOf(name));
  closers.push(() => client.close());
  return client;
}

async function delta(name: string): Promise<DeltaSdsClient> {
  const client = new DeltaSdsClient(await channelOf(name));
  closers.push(() => client.close());
  return client;
}

const resourcesOf = ({ last }: DeltaSdsClient) => last?.resources.map(({ name }) => name) ?? [];

test('delta over TCP: each name is answered, one that is nobody’s as removed; a reconnection is sent what is new', async () => {
  await start();
  const client = await delta('one');
  client.subscribe('default', 'ROOTCA', 'nothing');
  await eventually(() => expect(Object.keys(client.versions)).toEqual(['default', 'ROOTCA']));
  await eventually(() =>
    expect(client.responses.flatMap(({ removedResources }) => removedResources)).toContain(
      'nothing',
    ),
  );
  client.acknowledge();

  const again = await delta('one');
  again.say({
    resourceNamesSubscribe: ['default', 'ROOTCA', 'spiffe://mesh.test'],
    initialResourceVersions: client.versions,
  });
  await eventually(() => expect(resourcesOf(again)).toEqual(['spiffe://mesh.test']));
  expect(again.responses).toHaveLength(1);

  // The identity is taken away: both are told.
  ca.setEntries([entry('two')]);
  await eventually(() => {
    for (const { last } of [client, again]) {
      expect(last?.removedResources.toSorted()).toContain('default');
    }
  });
  expect(client.ended).toBeUndefined();
});

test('FetchSecrets over TCP: what is ready, and a status for what is not', async () => {
  await start();
  const client = await world('one');
  const fetch = (names: string[]): Promise<DiscoveryResponse | number> =>
    new Promise((resolve) => {
      const request = { ...silent, versionInfo: '', typeUrl: secretTypeUrl, resourceNames: names };
      client.client.fetchSecrets(request, (error, response) => {
        resolve(error === null ? response : error.code);
      });
    });
  await eventually(async () => {
    const answer = await fetch(['default', 'ROOTCA', 'spiffe://mesh.test/app/two']);
    if (typeof answer === 'number') throw new Error(`status ${answer}`);
    expect([...secretsOf(answer).keys()]).toEqual(['default', 'ROOTCA']);
  });
  expect(await fetch(['spiffe://mesh.test/app/two'])).toBe(5);
});

test('bad input over TCP ends its own stream with a status, and no other', async () => {
  await start();
  const good = await world('two');
  good.ask(['default']);
  await eventually(() => expect([...secretsOf(good.last).keys()]).toEqual(['default']));

  for (const method of ['StreamSecrets', 'DeltaSecrets', 'FetchSecrets']) {
    const session = await sessionOf('one');
    const nonsense = Buffer.from([0, 0, 0, 0, 7, 0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]);
    expect(await statusOf(session, method, nonsense)).toBe('13');
    // One byte more than a request may have: refused by its length, before it is read.
    const long = Buffer.alloc(5);
    long.writeUInt32BE(256 * 1024 + 1, 1);
    expect(await statusOf(session, method, long)).toBe('8');
  }
  const many = await delta('one');
  many.subscribe(...Array.from({ length: 1001 }, (_, index) => `name-${index}`));
  await eventually(() => expect(many.ended?.code).toBe(3));
  const typed = await world('one');
  typed.ask(['default'], { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' });
  await eventually(() => expect(typed.ended?.code).toBe(3));

  // As much as is allowed is taken.
  const allowed = await world('one');
  allowed.ask([
    'default',
    ...Array.from({ length: 250 }, (_, index) => `${index}`.padEnd(1000, 'x')),
  ]);
  await eventually(() => expect([...secretsOf(allowed.last).keys()]).toEqual(['default']));
  expect(good.ended).toBeUndefined();
});

test('what clients make of their secrets reaches the CA: acknowledged by one, refused by another in its words', async () => {
  await start();
  const content = await world('one');
  content.ask(['default']);
  const critic = await world('two');
  critic.ask(['default']);
  await eventually(() => {
    expect(content.last).toBeDefined();
    expect(critic.last).toBeDefined();
  });
  content.acknowledge(['default']);
  critic.reject(['default'], 'this key is not mine');
  await eventually(() => {
    const reports = ca.syncRequests.at(-1)?.secretReports ?? [];
    expect(reports.map(({ acknowledged }) => acknowledged)).toEqual(expect.arrayContaining([0, 1]));
    expect(reports.flatMap(({ refusals }) => refusals)).toEqual([
      expect.objectContaining({
        spiffeId: 'spiffe://mesh.test/edge/two',
        name: 'default',
        error: 'this key is not mine',
      }),
    ]);
  });
});

test('operators: status, who holds what, resend, readiness, measures; and no process to explain', async () => {
  await start({ sds: { aliases: { server_cert: 'default' } } });
  const client = await world('one');
  // An alias of the configuration is a name like another.
  client.ask(['server_cert']);
  await eventually(() => expect([...secretsOf(client.last).keys()]).toEqual(['server_cert']));
  client.acknowledge(['server_cert']);
  await eventually(async () => {
    const { clients } = await admin().sdsClients();
    expect(clients).toMatchObject([
      {
        spiffeIds: ['spiffe://mesh.test/edge/one'],
        secrets: [{ name: 'server_cert', state: 'acknowledged' }],
        offered: { svids: [{ spiffeId: 'spiffe://mesh.test/app/one', isDefault: true }] },
      },
    ]);
  });
  const status = await admin().status();
  expect(status).toMatchObject({
    ready: true,
    node: { spiffeId: server.nodeId },
    svidCount: 2,
    sds: { streams: 1, acknowledged: 1 },
  });
  const before = client.responses.length;
  expect(await admin().resend('default')).toBe(1);
  await eventually(() => expect(client.responses.length).toBe(before + 1));

  const dump = await runSignet(['sds', 'dump', '--socket', adminSocket]);
  expect(dump.stdout).toContain('spiffe://mesh.test/edge/one');
  expect(dump.stdout).toContain('server_cert');
  const explain = await runSignet(['explain', '--pid', `${process.pid}`, '--socket', adminSocket]);
  expect(explain.code).not.toBe(0);
  expect(explain.stderr).toContain('no process is attested');
});

test('with its CA away it serves on, and a restart goes on from the sealed cache with the token that was used', async () => {
  await start();
  const before = await world('one');
  before.ask(['default']);
  await eventually(() => expect([...secretsOf(before.last).keys()]).toEqual(['default']));
  const { chain } = certificateOf(secretsOf(before.last).get('default'));

  await ca.stop();
  const meanwhile = await world('one');
  meanwhile.ask(['default']);
  await eventually(() =>
    expect(certificateOf(secretsOf(meanwhile.last).get('default')).chain).toBe(chain),
  );

  const { nodeId } = server;
  await server.close();
  await start();
  expect(server.nodeId).toBe(nodeId);
  expect(server.cache.current()).toMatchObject({
    kind: 'on',
    found: { kind: 'restored', svids: 2 },
  });
  const after = await world('one');
  after.ask(['default']);
  await eventually(() =>
    expect(certificateOf(secretsOf(after.last).get('default')).chain).toBe(chain),
  );
  await eventually(async () => expect((await admin().status()).ca.state).toBe('away'));

  // The CA comes back: new entries reach the same stream's server, and the node was not attested again.
  const { attest } = ca.calls;
  await ca.start();
  ca.setEntries([entry('one'), entry('two'), entry('three')]);
  const late = await world('three');
  late.ask(['default']);
  await eventually(() => expect([...secretsOf(late.last).keys()]).toEqual(['default']), 30_000);
  expect(ca.calls.attest).toBe(attest);
});

const silent = { node: undefined, responseNonce: '', errorDetail: undefined };

/** HTTP/2 by hand: the client library would not send such bytes. */
async function sessionOf(name: string): Promise<ClientHttp2Session> {
  const secureContext = await contextOf(name);
  const session = connectHttp2('http://localhost', {
    createConnection: () =>
      tlsConnect({
        host: '127.0.0.1',
        port: server.port,
        secureContext,
        ALPNProtocols: ['h2'],
        // The test trusts the chain; a SPIFFE certificate has no host name to compare.
        checkServerIdentity: () => undefined,
      }),
  });
  session.on('error', () => {});
  closers.push(() => session.destroy());
  return session;
}

function statusOf(session: ClientHttp2Session, method: string, bytes: Buffer): Promise<unknown> {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/envoy.service.secret.v3.SecretDiscoveryService/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  stream.resume();
  stream.write(bytes);
  return new Promise((resolve) => {
    stream.on('trailers', (trailers) => resolve(trailers['grpc-status']));
    // An error before anything was sent comes as headers alone.
    stream.on('response', (headers) => {
      if (headers['grpc-status'] !== undefined) resolve(headers['grpc-status']);
    });
  });
}
