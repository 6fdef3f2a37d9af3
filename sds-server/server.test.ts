import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as netConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../test/fakes/eventually.ts';
import { CodedError, silentLogger, systemRandom, WatchSource } from '../core/index.ts';
import { createRpcServer, type RpcServer } from '../rpc/index.ts';
import { bundleSetOf } from '../spiffe/index.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { DeltaSdsClient, SdsClient, secretsOf } from '../test/fakes/sds-client.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { DeltaDiscoveryRequest, DiscoveryRequest, type DiscoveryResponse } from '../api/index.ts';
import type { SecretSet } from './secret-source.ts';
import { addSecretDiscovery } from './server.ts';
import type { StreamTrust } from './stream-trust.ts';

class Refused extends CodedError<'refused'> {
  override readonly name = 'Refused';
  override readonly kind = 'permission_denied';
}

const nowMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs });
const next = await makeTestPki({ nowMs: nowMs + 1 });
const web = await pki.issueLeaf({ id: '/web' });
const full: SecretSet = {
  trustDomain: pki.trustDomain,
  svids: [web],
  defaultSvid: web,
  bundles: pki.bundles,
};
const grown: SecretSet = {
  ...full,
  bundles: bundleSetOf([
    {
      ...pki.bundle,
      sequence: 2n,
      x509Authorities: [pki.root.certificate, next.root.certificate],
    },
  ]),
};

let directory: string;
let server: RpcServer;
let secrets: WatchSource<SecretSet>;
let known: boolean;
let trust: Map<string, StreamTrust>;
const clock = new ManualClock(nowMs);
const clients: { close(): void }[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sds-'));
  secrets = new WatchSource(full);
  known = true;
  trust = new Map();
  server = createRpcServer(silentLogger, { messageBytesMax: 256 * 1024 });
  addSecretDiscovery(server, {
    source: {
      async watch() {
        if (!known) throw new Refused('refused', 'who are you');
        return secrets;
      },
    },
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
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.close();
  rmSync(directory, { recursive: true });
});

function connect(): SdsClient {
  const client = new SdsClient(join(directory, 'sds.sock'));
  clients.push(client);
  return client;
}

test('[W2] one stream serves a certificate and roots, and sends both again when one changes', async () => {
  const client = connect();
  client.ask(['default', 'ALL']);
  await eventually(() => expect(client.responses.length).toBe(1));
  client.acknowledge(['default', 'ALL']);
  secrets.set(grown);
  await eventually(() => expect(client.responses.length).toBe(2));
  expect([...secretsOf(client.last).keys()]).toEqual(['default', 'ALL']);
  expect(client.responses[0]?.nonce).not.toBe(client.last?.nonce);
  expect(client.responses[0]?.versionInfo).not.toBe(client.last?.versionInfo);
});

test('the observer learns who trusts which root by their acknowledgements alone', async () => {
  const client = connect();
  client.ask(['ROOTCA']);
  const standing = (): StreamTrust | undefined => [...trust.values()][0];
  await eventually(() =>
    expect(standing()).toEqual({ subscribed: true, acknowledgedRootKeyIds: [] }),
  );
  await eventually(() => expect(client.responses.length).toBe(1));
  client.acknowledge(['ROOTCA']);
  await eventually(() => expect(standing()?.acknowledgedRootKeyIds.length).toBe(1));
  secrets.set(grown);
  await eventually(() => expect(client.responses.length).toBe(2));
  client.reject(['ROOTCA'], 'no');
  client.ask(['ROOTCA']);
  await eventually(() => expect(client.responses.length).toBe(3));
  expect(standing()?.acknowledgedRootKeyIds.length).toBe(1);
  client.acknowledge(['ROOTCA']);
  await eventually(() => expect(standing()?.acknowledgedRootKeyIds.length).toBe(2));
  client.close();
  await eventually(() => expect(trust.size).toBe(0));
});

test('a stream that asks for certificates only is no subscriber of roots', async () => {
  const client = connect();
  client.ask(['default']);
  await eventually(() => expect(client.responses.length).toBe(1));
  client.acknowledge(['default']);
  const roots = connect();
  roots.ask(['ALL']);
  await eventually(() => expect(trust.size).toBe(1));
});

test('[S4] who may not see the roots, or no longer, is waited for by nobody', async () => {
  const none: SecretSet = { ...full, svids: [], defaultSvid: undefined, bundles: new Map() };
  secrets.set(none);
  const stranger = connect();
  stranger.ask(['ALL']);
  // The next stream's answer shows that the first was heard.
  const client = connect();
  client.ask(['default', 'ROOTCA']);
  secrets.set(full);
  await eventually(() => expect(trust.size).toBe(2));
  secrets.set(none);
  expect(trust.size).toBe(0);
  secrets.set(full);
  expect(trust.size).toBe(2);
});

test('[S6] a wrong type ends that stream with InvalidArgument and no other', async () => {
  const wrong = connect();
  const right = connect();
  wrong.ask(['default'], { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' });
  right.ask(['default']);
  await eventually(() => expect(wrong.ended?.code).toBe(3));
  await eventually(() => expect(right.responses.length).toBe(1));
  expect(right.ended).toBeUndefined();
});

test('[S5] too many names end the stream; odd names only wait', async () => {
  const many = connect();
  many.ask(Array.from({ length: 1001 }, (_, index) => `n${index}`));
  await eventually(() => expect(many.ended?.code).toBe(3));
  const odd = connect();
  odd.ask(['file-root:system', 'spiffe://mesh.test/another', 'default']);
  await eventually(() => expect([...secretsOf(odd.last).keys()]).toEqual(['default']));
});

test('[W1] the first message may say who the client is; the others need not, and the stream goes on', async () => {
  const client = connect();
  client.ask(['default'], {
    node: { id: 'envoy-1', cluster: 'web', metadata: undefined, userAgentName: 'envoy' },
  });
  await eventually(() => expect([...secretsOf(client.last).keys()]).toEqual(['default']));
  client.acknowledge(['default']);
  client.ask(['default', 'ROOTCA'], { responseNonce: client.last?.nonce ?? '' });
  await eventually(() => expect([...secretsOf(client.last).keys()]).toEqual(['default', 'ROOTCA']));
  expect(client.ended).toBeUndefined();
});

const everyName = [
  'default',
  'spiffe://mesh.test/web',
  'ROOTCA',
  'spiffe://mesh.test',
  'ALL',
  'file-root:system',
];

test('[S1] [N1] [N2] [W12] one stream mixes the names of all worlds; that of a file alone is not served', async () => {
  const client = connect();
  client.ask(everyName);
  await eventually(() =>
    expect([...secretsOf(client.last).keys()]).toEqual(everyName.slice(0, -1)),
  );
  const delta = new DeltaSdsClient(join(directory, 'sds.sock'));
  clients.push(delta);
  delta.subscribe(...everyName);
  await eventually(() => expect(delta.responses).toHaveLength(1));
  expect(delta.last?.resources.map(({ name }) => name)).toEqual(everyName.slice(0, -1));
  expect(delta.last?.removedResources).toEqual(['file-root:system']);
  // And nobody is sent anything twice for it.
  client.acknowledge(everyName);
  delta.acknowledge();
  secrets.set({ ...full });
  secrets.set(grown);
  await eventually(() => expect([client.responses.length, delta.responses.length]).toEqual([2, 2]));
  expect(delta.last?.resources.map(({ name }) => name)).toEqual([
    'ROOTCA',
    'spiffe://mesh.test',
    'ALL',
  ]);
});

test('a caller that cannot be known is told why', async () => {
  known = false;
  const client = connect();
  client.ask(['default']);
  await eventually(() => expect(client.ended).toMatchObject({ code: 7, details: 'who are you' }));
});

test.for([
  ['StreamSecrets', () => frame({ typeUrl: '', resourceNames: ['default', 'ALL'] })],
  ['DeltaSecrets', () => deltaFrame(['default', 'ALL'])],
] as const)(
  '%s: a client that does not read is owed one response, not a queue, and is dropped in the end',
  async ([method, first]) => {
    // The client library reads ahead on its own; this one reads nothing at all.
    const session = connectHttp2('http://localhost', {
      createConnection: () => netConnect(join(directory, 'sds.sock')),
    });
    const stream = session.request({
      ':method': 'POST',
      ':path': `/envoy.service.secret.v3.SecretDiscoveryService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.write(first());
    await eventually(() => expect(trust.size).toBe(1));
    for (let round = 0; round < 100; round += 1) {
      secrets.set({ ...full, bundles: bigBundles(round) });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await clock.advance(61_000);

    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    const trailers = await new Promise<Record<string, unknown>>((resolve) => {
      stream.on('trailers', resolve);
    });
    session.destroy();
    expect(trailers['grpc-status']).toBe('8');
    // A window of 64 KiB and the one response that did not fit; all of them would be 4 MB.
    expect(length).toBeLessThan(200_000);
    expect(trust.size).toBe(0);
  },
);

test('FetchSecrets answers what is ready, and not found when nothing is', async () => {
  const some = await fetch(['default', 'unknown']);
  expect([...secretsOf(some as DiscoveryResponse).keys()]).toEqual(['default']);
  const everything = await fetch([]);
  expect([...secretsOf(everything as DiscoveryResponse).keys()]).toEqual([
    'spiffe://mesh.test/web',
    'spiffe://mesh.test',
  ]);
  expect(await fetch(['unknown'])).toEqual({ code: 5 });
});

test.for([
  ['default', { pending: new Set(['default', 'spiffe://mesh.test/web']) }],
  ['ROOTCA', { pending: 'everything' }],
  [undefined, { pending: new Set(['default', 'spiffe://mesh.test/web']) }],
] as const)('FetchSecrets of %s waits for what is on its way', async ([name, { pending }]) => {
  const names = name === undefined ? [] : [name];
  secrets.set({ ...full, svids: [], defaultSvid: undefined, bundles: new Map(), pending });
  const fetched = fetch(names);
  const ready = fetch(['unknown']);
  if (pending !== 'everything') expect(await ready).toEqual({ code: 5 });
  secrets.set(full);
  const answer = await fetched;
  expect([...secretsOf(answer as DiscoveryResponse).keys()]).toEqual(
    name === undefined ? ['spiffe://mesh.test/web', 'spiffe://mesh.test'] : [name],
  );
});

test('FetchSecrets waits no longer than two seconds, and answers what is ready by then', async () => {
  secrets.set({ ...full, svids: [], defaultSvid: undefined, pending: new Set(['default']) });
  const answers: (DiscoveryResponse | { code: number })[] = [];
  for (const names of [['default', 'ROOTCA'], ['default']]) {
    void fetch(names).then((answer) => answers.push(answer));
  }
  await eventually(async () => {
    await clock.advance(500);
    expect(answers).toHaveLength(2);
  });
  expect(answers).toContainEqual({ code: 5 });
  const found = answers.find((answer) => 'resources' in answer);
  expect([...secretsOf(found).keys()]).toEqual(['ROOTCA']);
});

function fetch(resourceNames: string[]): Promise<DiscoveryResponse | { code: number }> {
  const request = { versionInfo: '', node: undefined, typeUrl: '', responseNonce: '' };
  return new Promise((resolve) => {
    connect().client.fetchSecrets(
      { ...request, resourceNames, errorDetail: undefined },
      (error, response) => resolve(error === null ? response : { code: error.code }),
    );
  });
}

/** One message as gRPC frames it. */
function frame(request: { typeUrl: string; resourceNames: string[] }): Buffer {
  const message = DiscoveryRequest.encode({
    versionInfo: '',
    node: undefined,
    responseNonce: '',
    errorDetail: undefined,
    ...request,
  }).finish();
  return framed(message);
}

function deltaFrame(resourceNamesSubscribe: string[]): Buffer {
  const message = DeltaDiscoveryRequest.encode({
    node: undefined,
    typeUrl: '',
    resourceNamesSubscribe,
    resourceNamesUnsubscribe: [],
    initialResourceVersions: {},
    responseNonce: '',
    errorDetail: undefined,
  }).finish();
  return framed(message);
}

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A different bundle each round, large enough to fill the buffers between the two ends. */
function bigBundles(round: number) {
  const x509Authorities = Array.from({ length: 40 + round }, () => pki.root.certificate);
  return bundleSetOf([{ ...pki.bundle, sequence: BigInt(round), x509Authorities }]);
}
