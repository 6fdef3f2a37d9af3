/** The rules of the Workload API and its endpoint, by their numbers, on a real socket. */

import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { type RunningAgent, startAgent } from '../../agent/agent.ts';
import { parseAgentConfig } from '../../agent/config.ts';
import {
  ServerReflectionClient,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from '../../api/gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionClient as AlphaClient } from '../../api/gen/grpc/reflection/v1alpha/reflection.ts';
import { SpiffeWorkloadAPIService } from '../../api/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { splitCertificates } from '../../pki/index.ts';
import { metadataOf, unixChannel } from '../../rpc/index.ts';
import { formatBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { FakeCa, FakeCaRefusal } from '../fakes/fake-ca.ts';
import { FakeJwtKey } from '../fakes/fake-jwt-key.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import { WorkloadClient } from '../fakes/workload-client.ts';
import { runSignet } from './signet-command.ts';

const me = `unix:uid:${process.getuid?.()}`;
const web = { id: 'e1', spiffeId: 'spiffe://mesh.test/web', selectors: [me] };
const api = { id: 'e2', spiffeId: 'spiffe://mesh.test/api', selectors: [me], createdAtMs: 1n };
const nobody = { ...web, selectors: ['unix:uid:4294967294'] };
const ok = 0;
const invalidArgument = 3;
const permissionDenied = 7;
const unimplemented = 12;
const unavailable = 14;

let directory: string;
let socket: string;
let ca: FakeCa;
const closers: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'workload-'));
  socket = join(directory, 'agent.sock');
  ca = new FakeCa();
  await ca.start();
  closers.push(
    () => rmSync(directory, { recursive: true }),
    () => ca.stop(),
  );
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(more = '', stopped?: AbortSignal): Promise<RunningAgent> {
  const config = parseAgentConfig(
    `trustDomain: mesh.test
ca: { address: "${ca.address}", rootSha256: "${ca.rootSha256}" }
socket: ${socket}
adminSocket: ${join(directory, 'admin.sock')}
join: { token: token }
${more}`,
    'agent.yaml',
  );
  const agent = await startAgent(config, {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
    ...(stopped === undefined ? {} : { stopped }),
  });
  closers.push(() => agent.close());
  return agent;
}

function workload(): WorkloadClient {
  const client = new WorkloadClient(socket);
  closers.push(() => client.close());
  return client;
}

/** Retries while the agent says that it is starting, as E-5 has clients do. */
async function token(client = workload(), audience = ['orders'], spiffeId = ''): Promise<string> {
  return eventually(async () => {
    const { message, code } = await client.jwtSvids({ audience, spiffeId });
    expect(code).toBe(ok);
    return message?.svids[0]?.svid ?? '';
  });
}

function keyIds(bundle: Uint8Array | undefined): string[] {
  const { keys } = JSON.parse(Buffer.from(bundle ?? []).toString()) as {
    keys: { kid: string; use?: string; x5c?: unknown }[];
  };
  for (const { use, x5c } of keys) expect([use, x5c]).toEqual([undefined, undefined]);
  return keys.map(({ kid }) => kid);
}

test('A-1: either profile can be switched off, and then says Unimplemented; the other works', async () => {
  ca.setEntries([web]);
  await start('workloadApi: { jwt: false }');
  const client = workload();
  expect((await client.jwtSvids({ audience: ['a'] })).code).toBe(unimplemented);
  expect((await client.validate({ audience: 'a', svid: 'b' })).code).toBe(unimplemented);
  const bundles = client.jwtBundles();
  await eventually(() => expect(bundles.ended?.code).toBe(unimplemented));
  const svids = client.svids();
  await eventually(() => expect(svids.messages.length).toBe(1));
});

test('A-1: the X.509 profile can be switched off alone', async () => {
  ca.setEntries([web]);
  await start('workloadApi: { x509: false }');
  const client = workload();
  const refused = [client.svids(), client.bundles()];
  await eventually(() =>
    expect(refused.map(({ ended }) => ended?.code)).toEqual([unimplemented, unimplemented]),
  );
  expect(await token(client)).toMatch(/^ey/);
});

test('A-2: three methods stream and two answer once, in a service without a package', () => {
  const shapes = Object.values(SpiffeWorkloadAPIService).map(
    ({ path, requestStream, responseStream }) => [path, requestStream, responseStream],
  );
  expect(shapes).toEqual([
    ['/SpiffeWorkloadAPI/FetchX509SVID', false, true],
    ['/SpiffeWorkloadAPI/FetchX509Bundles', false, true],
    ['/SpiffeWorkloadAPI/FetchJWTSVID', false, false],
    ['/SpiffeWorkloadAPI/FetchJWTBundles', false, true],
    ['/SpiffeWorkloadAPI/ValidateJWTSVID', false, false],
  ]);
});

test('A-3: each message is the whole state, the first at once; a change of nothing it shows sends nothing', async () => {
  ca.setEntries([web]);
  await start();
  const client = workload();
  await token(client);
  const [x509, jwt] = [client.bundles(), client.jwtBundles()];
  await eventually(() => expect([x509.messages.length, jwt.messages.length]).toEqual([1, 1]));

  ca.jwtKeys.push(new FakeJwtKey('jwt-2'));
  ca.push();
  await eventually(() => expect(jwt.messages.length).toBe(2));
  expect(keyIds(jwt.messages[1]?.bundles['spiffe://mesh.test'])).toEqual(['jwt-1', 'jwt-2']);
  await ca.addRoot();
  await eventually(() => expect(x509.messages.length).toBe(2));
  expect(jwt.messages.length).toBe(2);

  // Redaction by absence.
  ca.jwtKeys = ca.jwtKeys.slice(1);
  ca.push();
  await eventually(() => expect(jwt.messages.length).toBe(3));
  expect(keyIds(jwt.messages[2]?.bundles['spiffe://mesh.test'])).toEqual(['jwt-2']);
  expect(x509.messages.length).toBe(2);
});

test('A-4: an X509-SVID has its key as PKCS#8 and its chain leaf first; without an identity it is PermissionDenied', async () => {
  ca.setEntries([web]);
  await start();
  const stream = workload().svids();
  await eventually(() => expect(stream.messages.length).toBe(1));
  const [svid] = stream.messages[0]?.svids ?? [];
  const [leaf] = splitCertificates(svid?.x509Svid ?? Buffer.alloc(0));
  const key = createPrivateKey({
    key: svid?.x509SvidKey ?? Buffer.alloc(0),
    format: 'der',
    type: 'pkcs8',
  });
  expect(new X509Certificate(leaf ?? '').checkPrivateKey(key)).toBe(true);
  expect(splitCertificates(svid?.bundle ?? Buffer.alloc(0)).length).toBe(1);
  ca.setEntries([nobody]);
  await eventually(() =>
    expect(stream.ended).toMatchObject({ code: permissionDenied, details: 'no identity issued' }),
  );
});

test('A-5: hints are unique in a response, and the first identity is the default', async () => {
  ca.setEntries([
    { ...web, hint: 'internal' },
    { ...api, hint: 'internal' },
    { ...api, id: 'e3', spiffeId: 'spiffe://mesh.test/edge', hint: 'edge', priority: 9 },
  ]);
  await start();
  const client = workload();
  const tokens = await eventually(async () => {
    const { message, code } = await client.jwtSvids({ audience: ['orders'] });
    expect(code).toBe(ok);
    return message?.svids ?? [];
  });
  const expected = [
    ['spiffe://mesh.test/edge', 'edge'],
    ['spiffe://mesh.test/web', 'internal'],
    ['spiffe://mesh.test/api', ''],
  ];
  expect(tokens.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual(expected);
  const stream = client.svids();
  await eventually(() =>
    expect(stream.messages.at(-1)?.svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual(
      expected,
    ),
  );
});

test('A-6: a token is for whom and for what was asked; who is not entitled is denied', async () => {
  ca.setEntries([web, api, { ...nobody, id: 'e9', spiffeId: 'spiffe://mesh.test/secret' }]);
  await start();
  const client = workload();
  const named = await token(client, ['orders', 'billing'], api.spiffeId);
  const bundles = client.jwtBundles();
  await eventually(() => expect(bundles.messages.length).toBe(1));
  const jwks: unknown = JSON.parse(
    Buffer.from(bundles.messages[0]?.bundles['spiffe://mesh.test'] ?? []).toString(),
  );
  // By a library that nobody here wrote.
  const keys = createLocalJWKSet(jwks as Parameters<typeof createLocalJWKSet>[0]);
  const { payload } = await jwtVerify(named, keys, { audience: 'orders' });
  expect(payload).toMatchObject({ sub: api.spiffeId, aud: ['billing', 'orders'] });

  const all = await client.jwtSvids({ audience: ['orders'] });
  expect(all.message?.svids.map(({ spiffeId }) => spiffeId)).toEqual([web.spiffeId, api.spiffeId]);
  for (const spiffeId of ['spiffe://mesh.test/secret', 'spiffe://other.test/web']) {
    expect(await client.jwtSvids({ audience: ['orders'], spiffeId })).toMatchObject({
      code: permissionDenied,
    });
  }
});

test('A-6: JWT bundles hold only JWT keys, and X.509 bundles only certificates', async () => {
  ca.setEntries([web]);
  await start();
  const client = workload();
  await token(client);
  const [jwt, x509] = [client.jwtBundles(), client.bundles()];
  await eventually(() => expect([jwt.messages.length, x509.messages.length]).toEqual([1, 1]));
  expect(keyIds(jwt.messages[0]?.bundles['spiffe://mesh.test'])).toEqual(['jwt-1']);
  expect(
    splitCertificates(x509.messages[0]?.bundles['spiffe://mesh.test'] ?? Buffer.alloc(0)).length,
  ).toBe(1);
});

test('A-7: a token is validated by every rule, and its claims are answered', async () => {
  ca.setEntries([web]);
  await start();
  const client = workload();
  const svid = await token(client, ['orders']);
  const valid = await client.validate({ audience: 'orders', svid });
  expect(valid.message).toMatchObject({
    spiffeId: web.spiffeId,
    claims: { sub: web.spiffeId, aud: ['orders'] },
  });
  const [key] = ca.jwtKeys;
  const exp = Math.floor(Date.now() / 1000) + 60;
  const claims = { sub: web.spiffeId, aud: 'orders', exp, extra: { deep: [1, 'a', true] } };
  const odd = key?.sign(claims) ?? '';
  const answered = await client.validate({ audience: 'orders', svid: odd });
  expect(answered.message?.claims).toEqual({ ...claims, aud: ['orders'] });
  const forged = new FakeJwtKey('jwt-1').sign(claims);
  const [header = '', body = ''] = odd.split('.');
  for (const bad of [
    'not a token',
    `${header}.${body}.`,
    forged,
    key?.sign(claims, { alg: 'none', kid: 'jwt-1' }),
    key?.sign(claims, { alg: 'ES256', kid: 'jwt-1', jku: 'https://x' }),
    key?.sign(claims, { alg: 'ES256', kid: 'unknown' }),
    key?.sign({ ...claims, exp: exp - 120 }),
    key?.sign({ ...claims, aud: 'billing' }),
    key?.sign({ ...claims, aud: [] }),
    key?.sign({ ...claims, sub: 'https://mesh.test/web' }),
    key?.sign({ ...claims, sub: 'spiffe://other.test/web' }),
    key?.sign({ sub: claims.sub, aud: 'orders' }),
  ]) {
    const refused = await client.validate({ audience: 'orders', svid: bad ?? '' });
    expect([bad, refused.code]).toEqual([bad, invalidArgument]);
  }
});

test('A-8: an empty mandatory field is InvalidArgument, and so is a name that is none', async () => {
  ca.setEntries([web]);
  await start();
  const client = workload();
  const svid = await token(client);
  const codes = [
    await client.jwtSvids({ audience: [] }),
    await client.jwtSvids({ audience: [''] }),
    await client.jwtSvids({ audience: ['orders'], spiffeId: 'mesh.test/web' }),
    await client.validate({ audience: '', svid }),
    await client.validate({ audience: 'orders', svid: '' }),
  ].map(({ code }) => code);
  expect(codes).toEqual(Array.from({ length: 5 }, () => invalidArgument));
  expect((await client.validate({ audience: 'orders', svid })).code).toBe(ok);
});

test('E-1: the endpoint speaks gRPC in clear on a Unix socket that any user may open', async () => {
  ca.setEntries([web]);
  await start();
  const raw = connect(socket);
  // The first frame of HTTP/2 is the server's settings; TLS would wait for the client.
  raw.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
  const first = await new Promise<Buffer>((resolve) => raw.once('data', resolve));
  raw.destroy();
  expect(first[3]).toBe(4);
  expect(await token()).toMatch(/^ey/);
});

test.for<[string, Record<string, string>]>([
  ['no header', {}],
  ['another value', { 'workload.spiffe.io': 'TRUE' }],
])('E-2: with %s every method is InvalidArgument', async ([, header]) => {
  ca.setEntries([web]);
  await start();
  const client = workload();
  const streams = [client.svids(header), client.bundles(header), client.jwtBundles(header)];
  const unary = [
    await client.jwtSvids({ audience: ['a'] }, header),
    await client.validate({ audience: 'a', svid: 'b' }, header),
  ];
  await eventually(() => expect(streams.map(({ ended }) => ended?.code)).toEqual([3, 3, 3]));
  expect(unary.map(({ code }) => code)).toEqual([invalidArgument, invalidArgument]);
  expect(await token(client)).toMatch(/^ey/);
});

test('E-3: a client finds the socket by SPIFFE_ENDPOINT_SOCKET, and takes no other form of it', async () => {
  ca.setEntries([web]);
  await start();
  await token();
  const fetch = (address: string) =>
    runSignet(['jwt', 'fetch', '--audience', 'orders'], { SPIFFE_ENDPOINT_SOCKET: address });
  const found = await fetch(`unix://${socket}`);
  expect(found.stderr).toBe('');
  expect(found.stdout).toMatch(/^ey[\w.-]+\n$/);
  for (const address of ['unix:relative.sock', `http://${socket}`, 'tcp://localhost:80']) {
    expect((await fetch(address)).code).toBe(2);
  }
});

test('E-4: nothing is asked of a workload but the header: who it is the kernel says', async () => {
  ca.setEntries([web]);
  await start();
  const { message } = await eventually(async () => {
    const outcome = await workload().jwtSvids({ audience: ['orders'] });
    expect(outcome.code).toBe(ok);
    return outcome;
  });
  expect(message?.svids.map(({ spiffeId }) => spiffeId)).toEqual([web.spiffeId]);
});

test('E-5: starting is Unavailable, no identity PermissionDenied, on every method', async () => {
  ca.failing.set('attest', new FakeCaRefusal('unavailable', 'away', 'not now'));
  const stopped = new AbortController();
  const starting = start('', stopped.signal);
  const client = workload();
  const codes = async () => {
    const streams = [client.svids(), client.bundles(), client.jwtBundles()];
    const unary = [
      await client.jwtSvids({ audience: ['a'] }),
      await client.validate({ audience: 'a', svid: 'b' }),
    ];
    await eventually(() => expect(streams.every(({ ended }) => ended !== undefined)).toBe(true));
    return [...streams.map(({ ended }) => ended?.code), ...unary.map(({ code }) => code)];
  };
  await eventually(async () => expect(new Set(await codes())).toEqual(new Set([unavailable])));
  ca.setEntries([nobody]);
  ca.failing.delete('attest');
  await starting;
  await eventually(async () => expect(new Set(await codes())).toEqual(new Set([permissionDenied])));
  ca.setEntries([web]);
  expect(await token(client)).toMatch(/^ey/);
});

test('E-5: without the CA an old token is served, and a new one is Unavailable', async () => {
  ca.setEntries([web]);
  await start();
  const client = workload();
  const old = await token(client);
  ca.failing.set('mint', new FakeCaRefusal('unavailable', 'away', 'not now'));
  expect(await token(client)).toBe(old);
  expect((await client.jwtSvids({ audience: ['billing'] })).code).toBe(unavailable);
  ca.failing.delete('mint');
  expect(await token(client, ['billing'])).toMatch(/^ey/);
});

test('W-4, E-6: the service has no other method; those of the WIT profile are Unimplemented', async () => {
  ca.setEntries([web]);
  await start();
  const { client } = workload();
  const bytes = (value: Buffer): Buffer => value;
  const header = metadataOf({ 'workload.spiffe.io': 'true' });
  for (const method of ['FetchWITSVID', 'FetchWITBundles', 'Anything']) {
    const code = await new Promise((resolve) => {
      client.makeUnaryRequest(
        `/SpiffeWorkloadAPI/${method}`,
        bytes,
        bytes,
        Buffer.alloc(0),
        header,
        (error) => resolve(error?.code),
      );
    });
    expect([method, code]).toEqual([method, unimplemented]);
  }
});

interface ReflectionStream {
  write(request: ServerReflectionRequest): unknown;
  on(event: 'data', listener: (response: ServerReflectionResponse) => void): unknown;
  on(event: 'error', listener: () => void): unknown;
  end(): unknown;
}

async function reflect(
  stream: ReflectionStream,
  requests: readonly ServerReflectionRequest['messageRequest'][],
): Promise<ServerReflectionResponse['messageResponse'][]> {
  const answers: ServerReflectionResponse['messageResponse'][] = [];
  stream.on('data', ({ messageResponse }) => answers.push(messageResponse));
  stream.on('error', () => {});
  for (const messageRequest of requests) stream.write({ host: '', messageRequest });
  await eventually(() => expect(answers.length).toBe(requests.length));
  stream.end();
  return answers;
}

test.for<'v1' | 'v1alpha'>(['v1', 'v1alpha'])(
  'E-6: server reflection %s tells what there is, and of nothing else',
  async (version) => {
    ca.setEntries([web]);
    await start();
    const channel = unixChannel(socket);
    const Client = version === 'v1' ? ServerReflectionClient : AlphaClient;
    const client = new Client(channel.target, channel.credentials, channel.options);
    closers.push(() => client.close());
    const [services, file, method, byName, unknown, extension, hidden, empty] = await reflect(
      client.serverReflectionInfo(),
      [
        { $case: 'listServices', value: '' },
        { $case: 'fileContainingSymbol', value: 'SpiffeWorkloadAPI' },
        { $case: 'fileContainingSymbol', value: 'SpiffeWorkloadAPI.FetchJWTSVID' },
        { $case: 'fileByFilename', value: 'envoy/service/secret/v3/sds.proto' },
        { $case: 'fileContainingSymbol', value: 'no.such.Thing' },
        { $case: 'allExtensionNumbersOfType', value: 'X509SVID' },
        { $case: 'fileContainingSymbol', value: 'signet.node.v1.NodeApi' },
        undefined,
      ],
    );
    expect(services).toMatchObject({
      value: {
        service: [
          { name: 'SpiffeWorkloadAPI' },
          { name: 'envoy.service.secret.v3.SecretDiscoveryService' },
          { name: 'grpc.reflection.v1.ServerReflection' },
          { name: 'grpc.reflection.v1alpha.ServerReflection' },
        ],
      },
    });
    expect(method).toEqual(file);
    const files = (answer: typeof file) =>
      answer?.$case === 'fileDescriptorResponse'
        ? answer.value.fileDescriptorProto.map((each) =>
            fromBinary(FileDescriptorProtoSchema, each),
          )
        : [];
    expect(files(file)[0]?.service[0]?.method.map(({ name }) => name)).toEqual([
      'FetchX509SVID',
      'FetchX509Bundles',
      'FetchJWTSVID',
      'FetchJWTBundles',
      'ValidateJWTSVID',
    ]);
    expect(files(file).map(({ name }) => name)).toContain('google/protobuf/struct.proto');
    expect(files(byName)[0]?.service[0]?.name).toBe('SecretDiscoveryService');
    expect(extension).toMatchObject({ value: { baseTypeName: 'X509SVID', extensionNumber: [] } });
    for (const refused of [unknown, hidden]) {
      expect(refused).toMatchObject({ $case: 'errorResponse', value: { errorCode: 5 } });
    }
    expect(empty).toMatchObject({ $case: 'errorResponse', value: { errorCode: invalidArgument } });
  },
);

test('bundles of other trust domains are for workloads whose entries federate with them', async () => {
  const partner = parseTrustDomain('partner.test');
  const pki = await makeTestPki({ trustDomain: partner, nowMs: Date.now() });
  const key = new FakeJwtKey('partner-1');
  const documentOf = (keys: readonly FakeJwtKey[]): string =>
    formatBundle({
      trustDomain: partner,
      sequence: 1n,
      x509Authorities: [pki.root.certificate],
      jwtAuthorities: keys,
    });
  ca.federatedBundles = { 'partner.test': documentOf([key]) };
  ca.setEntries([web]);
  await start();
  const client = workload();
  await token(client);
  const [svids, x509, jwt] = [client.svids(), client.bundles(), client.jwtBundles()];
  const domains = () => [
    Object.keys(svids.messages.at(-1)?.federatedBundles ?? {}),
    Object.keys(x509.messages.at(-1)?.bundles ?? {}),
    Object.keys(jwt.messages.at(-1)?.bundles ?? {}),
  ];
  const own = 'spiffe://mesh.test';
  const theirs = 'spiffe://partner.test';
  await eventually(() => expect(domains()).toEqual([[], [own], [own]]));
  const exp = Math.floor(Date.now() / 1000) + 60;
  const claims = { sub: 'spiffe://partner.test/shop', aud: 'orders', exp, role: 'admin' };
  const svid = key.sign(claims);
  expect((await client.validate({ audience: 'orders', svid })).code).toBe(invalidArgument);

  ca.setEntries([{ ...web, revision: 2n, federatesWith: [partner] }]);
  await eventually(() => expect(domains()).toEqual([[theirs], [own, theirs], [own, theirs]]));
  const valid = await client.validate({ audience: 'orders', svid });
  // What another domain's authority writes beside the standard's claims is left out.
  expect(valid.message).toEqual({
    spiffeId: claims.sub,
    claims: { sub: claims.sub, aud: ['orders'], exp },
  });
  // An authority of one domain says nothing of another's IDs.
  const crossed = key.sign({ ...claims, sub: web.spiffeId });
  expect((await client.validate({ audience: 'orders', svid: crossed })).code).toBe(invalidArgument);

  const next = new FakeJwtKey('partner-2');
  ca.federatedBundles = { 'partner.test': documentOf([next]) };
  ca.push();
  await eventually(() =>
    expect(keyIds(jwt.messages.at(-1)?.bundles[theirs])).toEqual(['partner-2']),
  );
  expect((await client.validate({ audience: 'orders', svid })).code).toBe(invalidArgument);
  ca.federatedBundles = {};
  ca.push();
  await eventually(() => expect(domains()).toEqual([[], [own], [own]]));
});

test('a token whose key is tainted is replaced at once', async () => {
  ca.setEntries([web]);
  await start();
  const client = workload();
  const old = await token(client);
  expect(await token(client)).toBe(old);
  ca.jwtKeys.push(new FakeJwtKey('jwt-2'));
  ca.tainted = ['jwt-1'];
  ca.push();
  await eventually(async () => expect(await token(client)).not.toBe(old));
});
