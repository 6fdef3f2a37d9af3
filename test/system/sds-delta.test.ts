/** The SDS server over a real socket: delta, restarts, what operators see and do, and secrets on demand. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Secret } from '../../api/index.ts';
import { silentLogger, systemRandom, WatchSource } from '../../core/index.ts';
import { type Caller, createRpcServer, type RpcServer } from '../../rpc/index.ts';
import { bundleSetOf } from '../../spiffe/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { certificateOf, DeltaSdsClient, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import {
  addSecretDiscovery,
  type SecretDiscovery,
  type SecretSet,
  type SecretSource,
  type StreamTrust,
} from '../../sds-server/index.ts';

const nowMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs });
const next = await makeTestPki({ nowMs: nowMs + 1 });
const web = await pki.issueLeaf({ id: '/web' });
const renewed = await pki.issueLeaf({ id: '/web' });
const full: SecretSet = {
  trustDomain: pki.trustDomain,
  svids: [web],
  defaultSvid: web,
  bundles: pki.bundles,
};
const both = [pki.root.certificate, next.root.certificate];
const grown: SecretSet = {
  ...full,
  bundles: bundleSetOf([{ ...pki.bundle, sequence: 2n, x509Authorities: both }]),
};

let directory: string;
let server: RpcServer;
let sds: SecretDiscovery;
let secrets: WatchSource<SecretSet>;
let trust: Map<string, StreamTrust>;
let wanted: (readonly string[])[];
const clock = new ManualClock(nowMs);
const clients: { close(): void }[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sds-'));
  secrets = new WatchSource(full);
  trust = new Map();
  wanted = [];
  await start();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.close();
  rmSync(directory, { recursive: true });
});

/** A new instance: it knows nothing of what the one before sent. */
async function start(): Promise<void> {
  server = createRpcServer(silentLogger, { messageBytesMax: 256 * 1024 });
  const source: SecretSource = {
    watch: () => Promise.resolve(secrets),
    want(_caller: Caller, names) {
      wanted.push(names);
    },
  };
  sds = addSecretDiscovery(server, {
    source,
    aliases: new Map([['tickets', 'session-ticket-keys']]),
    observer: {
      streamChanged(streamId, value) {
        if (value === undefined) trust.delete(streamId);
        else trust.set(streamId, value);
      },
    },
    clock,
    random: systemRandom,
    log: silentLogger,
  });
  await server.listenUnix(join(directory, 'sds.sock'), 0o700);
}

function connect(): DeltaSdsClient {
  const client = new DeltaSdsClient(join(directory, 'sds.sock'));
  clients.push(client);
  return client;
}

function connectWorld(): SdsClient {
  const client = new SdsClient(join(directory, 'sds.sock'));
  clients.push(client);
  return client;
}

const namesIn = (client: DeltaSdsClient): string[] =>
  (client.last?.resources ?? []).map(({ name }) => name);

test('[S2] a delta stream serves what changed, and that alone', async () => {
  const client = connect();
  client.subscribe('default', 'ALL', 'spiffe://mesh.test/another');
  await eventually(() => expect(client.responses.length).toBe(1));
  expect(namesIn(client)).toEqual(['default', 'ALL']);
  expect(client.last?.removedResources).toEqual(['spiffe://mesh.test/another']);
  client.acknowledge();
  secrets.set({ ...full, svids: [renewed], defaultSvid: renewed });
  await eventually(() => expect(client.responses.length).toBe(2));
  expect(namesIn(client)).toEqual(['default']);
  const secret = Secret.decode(client.last?.resources[0]?.resource?.value ?? new Uint8Array());
  expect(certificateOf(secret).chain).toBe(renewed.chainPem);
  // A withdrawal is told, which state of the world cannot.
  secrets.set({ ...full, svids: [], defaultSvid: undefined, bundles: new Map() });
  await eventually(() => expect(client.last?.removedResources).toEqual(['default', 'ALL']));
});

test('[D8] a new instance of the server pushes nothing to a client that has it all', async () => {
  const before = connect();
  before.subscribe('default', 'ALL');
  await eventually(() => expect(before.responses.length).toBe(1));
  const { versions } = before;
  before.close();
  await server.close();
  await start();
  const after = connect();
  after.say({ resourceNamesSubscribe: ['default', 'ALL'], initialResourceVersions: versions });
  // By its own word it trusts the roots of that version; nobody has to wait for it.
  await eventually(() =>
    expect([...trust.values()]).toMatchObject([{ acknowledgedRootKeyIds: [expect.any(String)] }]),
  );
  const [client] = sds.clients.snapshot();
  expect(client?.names.map(({ name, state }) => [name, state])).toEqual([
    ['default', 'acknowledged'],
    ['ALL', 'acknowledged'],
  ]);
  secrets.set(grown);
  await eventually(() => expect(after.responses.length).toBe(1));
  expect(namesIn(after)).toEqual(['ALL']);
});

test('clients of both protocols are seen alike: who holds what, since when, and who refuses', async () => {
  const delta = connect();
  const world = connectWorld();
  let told = 0;
  const stop = sds.clients.subscribe(() => {
    told += 1;
  });
  delta.subscribe('ALL', 'absent-secret');
  world.ask(['ALL']);
  await eventually(() => expect([delta.responses.length, world.responses.length]).toEqual([1, 1]));
  delta.acknowledge();
  world.reject(['ALL'], 'no such validator');
  const standing = (protocol: string) =>
    sds.clients.snapshot().find((client) => client.protocol === protocol);
  await eventually(() => {
    expect(standing('delta')?.names).toMatchObject([{ name: 'ALL', state: 'acknowledged' }]);
    expect(standing('state_of_the_world')?.names).toMatchObject([
      { name: 'ALL', state: 'refused', error: 'no such validator', sinceMs: nowMs },
    ]);
  });
  expect(standing('delta')).toMatchObject({
    waiting: ['absent-secret'],
    peer: { kind: 'process', pid: process.pid, uid: process.getuid?.() },
    names: [{ authorityKeyIds: [expect.stringMatching(/^[0-9a-f]+$/)] }],
  });
  expect(told).toBeGreaterThan(3);
  const { streamId = '' } = standing('delta') ?? {};
  expect(sds.clients.get(streamId)?.protocol).toBe('delta');
  delta.close();
  await eventually(() => expect(sds.clients.get(streamId)).toBeUndefined());
  stop();
});

test('[D9] an operator has a secret sent again, under a new nonce and the same version', async () => {
  const delta = connect();
  const world = connectWorld();
  const other = connectWorld();
  delta.subscribe('default', 'ALL');
  world.ask(['default']);
  other.ask(['ALL']);
  await eventually(() =>
    expect([delta, world, other].map(({ responses }) => responses.length)).toEqual([1, 1, 1]),
  );
  world.reject(['default'], 'no');
  // Counted though the client has yet to read what is under way.
  expect(sds.control.resend('default')).toBe(2);
  await eventually(() => expect([delta.responses.length, world.responses.length]).toEqual([2, 2]));
  expect(namesIn(delta)).toEqual(['default']);
  expect(world.responses[1]?.versionInfo).toBe(world.responses[0]?.versionInfo);
  expect(world.responses[1]?.nonce).not.toBe(world.responses[0]?.nonce);
  expect(other.responses.length).toBe(1);
  expect(sds.control.resend('nobody-asked')).toBe(0);
  expect(sds.control.resend()).toBe(3);
  await eventually(() => expect(other.responses.length).toBe(2));
});

test('the source is told what a connection’s streams want fetched, whenever that changes', async () => {
  const client = connect();
  client.subscribe('default', 'tickets', 'db-password');
  await eventually(() => expect(wanted).toEqual([['db-password', 'session-ticket-keys']]));
  await eventually(() => expect(namesIn(client)).toEqual(['default']));
  // On its way is not absent.
  expect(client.last?.removedResources).toEqual([]);
  const values = new Map([['', Buffer.from('s3cret')]]);
  secrets.set({
    ...full,
    ticketKeys: { keys: [Buffer.alloc(80, 1), Buffer.alloc(80, 2)] },
    named: new Map([['db-password', { name: 'db-password', version: 3n, values }]]),
  });
  await eventually(() => expect(namesIn(client)).toEqual(['tickets', 'db-password']));
  const [tickets, password] = (client.last?.resources ?? []).map(({ resource }) =>
    Secret.decode(resource?.value ?? new Uint8Array()),
  );
  expect(tickets?.type).toMatchObject({ $case: 'sessionTicketKeys', value: { keys: [{}, {}] } });
  expect(password?.type).toMatchObject({
    $case: 'genericSecret',
    value: { secret: { specifier: { value: Buffer.from('s3cret') } } },
  });
  client.say({ resourceNamesUnsubscribe: ['tickets'] });
  await eventually(async () => {
    // Changes that follow one another closely are told together.
    await clock.advance(100);
    expect(wanted.at(-1)).toEqual(['db-password']);
  });
  client.close();
  await eventually(() => expect(wanted.at(-1)).toEqual([]));
  expect(wanted).toHaveLength(3);
});

test('what was looked for and is not the caller’s is told to be absent', async () => {
  const client = connect();
  client.subscribe('db-password', 'default');
  await eventually(() => expect(namesIn(client)).toEqual(['default']));
  secrets.set({ ...full, denied: new Set(['db-password']) });
  await eventually(() => expect(client.last?.removedResources).toEqual(['db-password']));
});

test('FetchSecrets waits a little for what is fetched on demand', async () => {
  const client = connectWorld();
  const fetched = new Promise<unknown>((resolve) => {
    const request = { versionInfo: '', node: undefined, typeUrl: '', responseNonce: '' };
    client.client.fetchSecrets(
      { ...request, resourceNames: ['db-password'], errorDetail: undefined },
      (error, response) => resolve(error === null ? [...secretsOf(response).keys()] : error.code),
    );
  });
  await eventually(() => expect(wanted).toEqual([['db-password']]));
  const values = new Map([['user', Buffer.from('u')]]);
  const secret = { name: 'db-password', version: 1n, values };
  secrets.set({ ...full, named: new Map([['db-password', secret]]) });
  expect(await fetched).toEqual(['db-password']);
  await eventually(async () => {
    await clock.advance(100);
    expect(wanted.at(-1)).toEqual([]);
  });
});

test.for([
  ['another type', { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' }, 3],
  ['10,000 names in one message', { resourceNamesSubscribe: namesOf(10_000) }, 3],
  ['a huge name', { resourceNamesSubscribe: ['x'.repeat(100_000)] }, 3],
] as const)('%s ends that delta stream with a status, and no other', async ([, request, code]) => {
  const right = connect();
  const wrong = connect();
  wrong.say({
    ...request,
    resourceNamesSubscribe: [
      ...('resourceNamesSubscribe' in request ? request.resourceNamesSubscribe : []),
    ],
  });
  await eventually(() => expect(wrong.ended?.code).toBe(code));
  right.subscribe('default');
  await eventually(() => expect(namesIn(right)).toEqual(['default']));
  expect(right.ended).toBeUndefined();
});

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `name-${index}`);
}
