import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../test/fakes/eventually.ts';
import {
  describeError,
  exitCodeOf,
  type LogFields,
  type Logger,
  systemClock,
  systemRandom,
} from '../core/index.ts';
import { splitCertificates } from '../pki/index.ts';
import { FakeCa, FakeCaRefusal } from '../test/fakes/fake-ca.ts';
import { certificateOf, rootsOf, SdsClient, secretsOf } from '../test/fakes/sds-client.ts';
import { WorkloadClient } from '../test/fakes/workload-client.ts';
import { type RunningAgent, startAgent } from './agent.ts';
import { parseAgentConfig } from './config.ts';

const me = `unix:uid:${process.getuid?.()}`;
const web = { id: 'e1', spiffeId: 'spiffe://mesh.test/web', selectors: [me] };
const nobody = { ...web, selectors: ['unix:uid:4294967294'] };

let directory: string;
let socket: string;
let ca: FakeCa;
const logged: string[] = [];
const record = (message: string, fields?: LogFields): void => {
  logged.push(message, JSON.stringify(fields ?? {}));
};
const recordingLogger: Logger = {
  debug: record,
  info: record,
  warn: record,
  error: record,
  with: () => recordingLogger,
};
const closers: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'agent-'));
  socket = join(directory, 'run', 'agent.sock');
  mkdirSync(join(directory, 'run'));
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

interface StartOptions {
  readonly token?: string;
  readonly trust?: string;
  readonly trustDomain?: string;
  readonly stopped?: AbortSignal;
}

async function start(options: StartOptions = {}): Promise<RunningAgent> {
  const config = parseAgentConfig(
    `trustDomain: ${options.trustDomain ?? 'mesh.test'}
ca: { address: "${ca.address}", ${options.trust ?? `rootSha256: "${ca.rootSha256}"`} }
socket: ${socket}
join: { token: ${options.token ?? 'token'} }
`,
    'agent.yaml',
  );
  const agent = await startAgent(config, {
    clock: systemClock,
    random: systemRandom,
    log: recordingLogger,
    environment: {},
    ...(options.stopped === undefined ? {} : { stopped: options.stopped }),
  });
  closers.push(() => agent.close());
  return agent;
}

function subscribe(names: readonly string[]): SdsClient {
  const client = new SdsClient(socket);
  closers.push(() => client.close());
  client.ask(names);
  return client;
}

function workload(): WorkloadClient {
  const client = new WorkloadClient(socket);
  closers.push(() => client.close());
  return client;
}

const serialOf = (client: SdsClient, name = 'default'): string =>
  new X509Certificate(certificateOf(secretsOf(client.last).get(name)).chain).serialNumber;

test('a process is known by its user and gets its certificate and roots by SDS', async () => {
  ca.setEntries([web]);
  const agent = await start();
  expect(agent.nodeId).toBe('spiffe://mesh.test/signet/node/join_token/n1');
  expect(statSync(socket).mode & 0o777).toBe(0o777);
  const certificates = subscribe(['default']);
  const roots = subscribe(['ALL']);
  await eventually(() => expect([certificates.last, roots.last]).not.toContain(undefined));

  const { chain, key } = certificateOf(secretsOf(certificates.last).get('default'));
  const leaf = new X509Certificate(chain);
  expect(leaf.subjectAltName).toBe('URI:spiffe://mesh.test/web');
  expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true);
  const all = rootsOf(secretsOf(roots.last).get('ALL'));
  expect([...all.keys()]).toEqual(['mesh.test']);
});

test('a process without an entry sees nothing, until it has one, and loses it again', async () => {
  ca.setEntries([nobody]);
  await start();
  const client = subscribe(['ROOTCA', 'default', 'ALL']);
  const api = workload();
  const refused = api.bundles();
  await eventually(() => expect(refused.ended?.code).toBe(7));
  ca.setEntries([{ ...nobody, id: 'e2' }]);
  await eventually(() => expect(ca.syncRequests.at(-1)?.appliedRevision).toBe(ca.revision));
  expect(client.responses).toEqual([]);

  ca.setEntries([web]);
  await eventually(() =>
    expect([...secretsOf(client.last).keys()]).toEqual(['ROOTCA', 'default', 'ALL']),
  );
  const granted = api.svids();
  await eventually(() => expect(granted.messages.length).toBe(1));
  ca.setEntries([]);
  await eventually(() =>
    expect(granted.ended).toMatchObject({ code: 7, details: 'no identity issued' }),
  );
});

test('no key and no token is ever logged or part of a version', async () => {
  ca.tokens.set('a-secret-token', undefined);
  ca.setEntries([web, { ...nobody, id: 'e2' }, { ...web, id: 'e3', spiffeId: 'bad' }]);
  logged.length = 0;
  await start({ token: 'a-secret-token' });
  const client = subscribe(['default', 'ALL']);
  await eventually(() => expect(secretsOf(client.last).size).toBe(2));
  client.reject(['default', 'ALL'], 'no');
  await eventually(() => expect(logged.join()).toContain('rejected'));
  const text = logged.join('\n');
  expect(text).toContain('svid issued');
  expect(text).not.toContain('a-secret-token');
  const { key } = certificateOf(secretsOf(client.last).get('default'));
  const scalar = createPrivateKey(key).export({ format: 'jwk' }).d ?? '';
  const scalarBytes = Buffer.from(scalar, 'base64url');
  const forms = [
    scalar,
    scalarBytes.toString('base64'),
    scalarBytes.toString('hex'),
    'PRIVATE KEY',
  ];
  for (const form of [...forms, ...key.split('\n').filter((line) => line.length > 16)]) {
    expect(text).not.toContain(form);
  }
});

test('the Workload API gives every identity, the default first, and each later state whole', async () => {
  ca.setEntries([
    { ...web, id: 'old', spiffeId: 'spiffe://mesh.test/old', createdAtMs: 1n, hint: 'x' },
    { ...web, id: 'new', spiffeId: 'spiffe://mesh.test/new', createdAtMs: 2n, hint: 'x' },
    { ...web, id: 'first', spiffeId: 'spiffe://mesh.test/first', createdAtMs: 3n, priority: 1 },
    { ...nobody, id: 'other', spiffeId: 'spiffe://mesh.test/other' },
  ]);
  await start();
  const stream = workload().svids();
  await eventually(() => expect(stream.messages.length).toBe(1));
  const [first] = stream.messages;
  expect(first?.svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
    ['spiffe://mesh.test/first', ''],
    ['spiffe://mesh.test/old', 'x'],
    ['spiffe://mesh.test/new', ''],
  ]);
  const svid = first?.svids[0];
  const chain = splitCertificates(new Uint8Array(svid?.x509Svid ?? []));
  const key = createPrivateKey({
    key: Buffer.from(svid?.x509SvidKey ?? []),
    format: 'der',
    type: 'pkcs8',
  });
  expect(new X509Certificate(chain[0] ?? '').checkPrivateKey(key)).toBe(true);
  const root = ca.roots[0]?.root.der ?? new Uint8Array();
  expect(splitCertificates(new Uint8Array(svid?.bundle ?? []))).toEqual([root]);

  const bundles = workload().bundles();
  await eventually(() => expect(bundles.messages.length).toBe(1));
  expect(Object.keys(bundles.messages[0]?.bundles ?? {})).toEqual(['spiffe://mesh.test']);
  await ca.addRoot();
  await eventually(() => expect(bundles.messages.length).toBe(2));
  const both = bundles.messages[1]?.bundles['spiffe://mesh.test'];
  expect(splitCertificates(new Uint8Array(both ?? [])).length).toBe(2);
});

test.for([
  ['none', {}],
  ['another', { 'workload.spiffe.io': 'True' }],
] as const)('a call with %s of the security header is refused', async ([, header]) => {
  ca.setEntries([web]);
  await start();
  const stream = workload().svids({ ...header });
  await eventually(() => expect(stream.ended?.code).toBe(3));
});

test('certificates rotate at half life, over new keys, on an open stream', async () => {
  ca.svidTtlMs = 1000;
  ca.setEntries([web]);
  await start();
  const client = subscribe(['default']);
  const serials = new Set<string>();
  const keys = new Set<string>();
  await eventually(() => {
    if (client.last === undefined) throw new Error('nothing yet');
    serials.add(serialOf(client));
    const { key } = certificateOf(secretsOf(client.last).get('default'));
    keys.add(createPublicKey(key).export({ type: 'spki', format: 'pem' }));
    expect(serials.size).toBeGreaterThanOrEqual(3);
  });
  expect(keys.size).toBe(serials.size);
});

test('a root rotation reaches clients first, is counted as they acknowledge, and renews everything early', async () => {
  ca.setEntries([web]);
  await start();
  const certificate = subscribe(['default']);
  const roots = subscribe(['ALL']);
  await eventually(() => expect([certificate.last, roots.last]).not.toContain(undefined));
  const oldSerial = serialOf(certificate);
  const first = ca.active;
  const second = await ca.addRoot();
  await eventually(() => expect(roots.responses.length).toBe(2));
  await eventually(() =>
    expect(ca.trust(second.keyId)).toMatchObject({ subscribers: 1, acknowledged: 0 }),
  );
  expect(serialOf(certificate)).toBe(oldSerial);
  roots.acknowledge(['ALL']);
  await eventually(() =>
    expect(ca.trust(second.keyId)).toMatchObject({ subscribers: 1, acknowledged: 1 }),
  );

  const renewals = ca.calls.renew;
  await ca.activate(second);
  await eventually(() => expect(serialOf(certificate)).not.toBe(oldSerial));
  await eventually(() => expect(ca.calls.renew).toBeGreaterThan(renewals));
  if (first !== undefined) ca.retire(first);
  await eventually(() => {
    expect(rootsOf(secretsOf(roots.last).get('ALL')).get('mesh.test')?.length).toBe(1);
  });
  // The agent goes on with the CA under the new root alone.
  ca.setEntries([web, { ...web, id: 'e2', spiffeId: 'spiffe://mesh.test/two' }]);
  const two = subscribe(['spiffe://mesh.test/two']);
  await eventually(() => expect(two.last).toBeDefined());
});

test('what was issued is served while the CA is away, and all goes on when it is back', async () => {
  ca.setEntries([web]);
  await start();
  const before = subscribe(['default', 'ROOTCA']);
  await eventually(() => expect(before.last).toBeDefined());
  await ca.stop();
  const during = subscribe(['default', 'ROOTCA']);
  await eventually(() => expect(secretsOf(during.last).size).toBe(2));
  expect(serialOf(during)).toBe(serialOf(before));

  await ca.start();
  ca.setEntries([{ ...web, revision: 2n }]);
  await eventually(() => expect(before.responses.length).toBe(2));
});

test('an expired certificate is withdrawn: a new client gets none', async () => {
  // Long enough for a busy machine to hand it out before it ends: whole seconds count, and the rest is cut.
  ca.svidTtlMs = 2900;
  ca.setEntries([web]);
  await start();
  const early = subscribe(['default']);
  await eventually(() => expect(early.last).toBeDefined());
  ca.failing.set('sign', new FakeCaRefusal('unavailable', 'away', 'not now'));
  const stream = workload().svids();
  await eventually(() => expect(stream.messages.length).toBeGreaterThan(0));
  const notAfter = (): number =>
    new Date(
      new X509Certificate(certificateOf(secretsOf(early.last).get('default')).chain).validTo,
    ).getTime();
  await eventually(() => expect(Date.now()).toBeGreaterThan(notAfter() + 50));
  const late = subscribe(['default', 'ROOTCA']);
  await eventually(() => expect([...secretsOf(late.last).keys()]).toEqual(['ROOTCA']));
  ca.failing.clear();
  await eventually(() => expect(secretsOf(late.last).size).toBe(2));
});

test('a node SVID of a second or so is renewed in time, and the stream moves with it', async () => {
  ca.nodeTtlMs = 1500;
  ca.setEntries([web]);
  await start();
  await eventually(() => expect(ca.calls.renew).toBeGreaterThanOrEqual(1));
  ca.setEntries([web, { ...web, id: 'e2', spiffeId: 'spiffe://mesh.test/two' }]);
  const client = subscribe(['spiffe://mesh.test/two']);
  await eventually(() => expect(client.last).toBeDefined());
  expect(ca.calls.attest).toBe(1);
});

test('an agent whose node SVID has expired joins again with the key of its first time', async () => {
  ca.nodeTtlMs = 500;
  ca.failing.set('renew', new FakeCaRefusal('unavailable', 'away', 'not now'));
  await start();
  await eventually(() => expect(ca.calls.attest).toBe(2));
});

test('a node that is refused for good ends with one error', async () => {
  ca.nodeTtlMs = 500;
  ca.failing.set('renew', new FakeCaRefusal('permission_denied', 'node_unknown', 'node removed'));
  const agent = await start();
  ca.failing.set('attest', new FakeCaRefusal('permission_denied', 'token_used', 'was used'));
  const error = await agent.refused;
  expect(describeError(error)).toContain('make a new join token');
  expect(exitCodeOf(error)).toBe(2);
});

test.for([
  ['an unknown token', { token: 'wrong' }, 'no such join token'],
  ['a wrong pin', { trust: `rootSha256: "${'0'.repeat(64)}"` }, 'no root with SHA-256 0000'],
  ['another trust domain', { trustDomain: 'other.test' }, 'it is spiffe://mesh.test/signet/ca'],
  ['no bundle file', { trust: 'bundle: /nowhere/bundle.json' }, '/nowhere/bundle.json does not'],
] as const)(
  '%s ends the start with one clear line and nothing running',
  async ([, options, text]) => {
    const error: unknown = await start(options).then(
      () => undefined,
      (caught: unknown) => caught,
    );
    expect(describeError(error)).toContain(text);
    expect(describeError(error)).not.toContain('\n');
    expect(exitCodeOf(error)).toBe(2);
    // The socket is free again.
    await start();
  },
);

test('a lost answer costs nothing: the same key is sent again', async () => {
  ca.failing.set('attest', new FakeCaRefusal('unavailable', 'away', 'not now'));
  const starting = start();
  await eventually(() => expect(ca.calls.attest).toBeGreaterThanOrEqual(2));
  ca.failing.clear();
  await starting;
  // A second node cannot use the token of the first.
  socket = join(directory, 'second.sock');
  await expect(start()).rejects.toMatchObject({ code: 'node_refused' });
});

test('an agent waits for a CA that is away, and may be stopped meanwhile', async () => {
  await ca.stop();
  const stopped = new AbortController();
  const starting = start({ stopped: stopped.signal });
  await eventually(() => expect(existsSync(socket)).toBe(true));
  const client = subscribe(['default']);
  const api = workload().svids();
  // Early clients of the Workload API are told to come back; SDS clients wait.
  await eventually(() => expect(api.ended?.code).toBe(14));
  expect(client.ended).toBeUndefined();
  stopped.abort();
  await expect(starting).rejects.toMatchObject({ code: 'start_aborted' });
});

test('the bundle may come from a file, as PEM or as a SPIFFE bundle', async () => {
  const path = join(directory, 'roots.pem');
  writeFileSync(path, ca.roots[0]?.root.pem ?? '');
  await start({ trust: `bundle: ${path}` });
});

test('one bad entry harms no other', async () => {
  ca.setEntries([
    { ...web, id: 'bad1', spiffeId: 'spiffe://other.test/x' },
    { ...web, id: 'bad2', spiffeId: 'no id' },
    { ...web, id: 'bad3', selectors: [] },
    web,
  ]);
  await start();
  const client = subscribe([]);
  await eventually(() =>
    expect([...secretsOf(client.last).keys()]).toEqual([
      'spiffe://mesh.test/web',
      'spiffe://mesh.test',
    ]),
  );
});
