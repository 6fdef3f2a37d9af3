/** Named secrets and session-ticket keys from the operator's command to SDS clients of two agents, and back again. */

import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test as anyTest } from 'vitest';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import {
  type AuditRecordView,
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  SecretDiscoveryServiceClient,
  secretTypeUrl,
} from '../../api/index.ts';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { unixChannel } from '../../rpc/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { AttestedPeer, pythonPath } from './attested-peer.ts';
import { CaFixture } from './ca-fixture.ts';
import { runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

const canary = 'correct-horse-battery-staple';
const webId = 'spiffe://mesh.test/web';
const names = ['default', 'db-password', 'other', 'session-ticket-keys'];
const directory = mkdtempSync(join(tmpdir(), 'signet-secrets-'));
const closers: (() => Promise<void> | void)[] = [];
const test = anyTest.skipIf(lacks('python3'));
let fixture: CaFixture;
let agents: readonly RunningAgent[];

beforeAll(async () => {
  fixture = await CaFixture.begin();
  await fixture.restart({
    lifetimes: { root: '1h', issuing: '30m', x509Svid: '5m', nodeSvid: '5m' },
  });
  agents = [await startTestAgent('one'), await startTestAgent('two')];
  for (const { nodeId } of agents) {
    await entry(webId, nodeId, process.execPath);
    await entry('spiffe://mesh.test/api', nodeId, pythonPath);
  }
});

afterAll(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await fixture.end();
  rmSync(directory, { recursive: true });
});

async function entry(spiffeId: string, parentId: string, path: string): Promise<void> {
  await fixture.admin.createEntry({ spiffeId, parentId, selectors: [`unix:path:${path}`] });
}

async function startTestAgent(name: string): Promise<RunningAgent> {
  const { token } = await fixture.admin.createToken({ ttlSeconds: 60 });
  const [root] = (await fixture.bundle()).x509Authorities;
  const config = {
    trustDomain: 'mesh.test',
    ca: {
      address: `127.0.0.1:${fixture.ca.agentPort}`,
      rootSha256: hash('sha256', root?.der ?? '', 'hex'),
    },
    socket: join(directory, `${name}.sock`),
    adminSocket: 'off',
    join: { token },
  };
  const agent = await startAgent(parseAgentConfig(JSON.stringify(config), 'agent.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  });
  closers.push(() => agent.close());
  return agent;
}

function sds(socket: string): SdsClient {
  const client = new SdsClient(socket);
  closers.push(() => client.close());
  return client;
}

/** A client that is the workload `api`: another process, another program. */
async function sdsOfApi(agent: RunningAgent | undefined): Promise<SdsClient> {
  const { peer, greeting } = await AttestedPeer.start(agent?.socket ?? '', directory);
  closers.push(() => peer.end());
  expect(greeting).toBe('ready');
  return sds(peer.socket);
}

/** A delta stream that acknowledges all: what it was given, and what was taken away again. */
function deltaOf(socket: string) {
  const channel = unixChannel(socket);
  const client = new SecretDiscoveryServiceClient(
    channel.target,
    channel.credentials,
    channel.options,
  );
  const stream = client.deltaSecrets();
  const responses: DeltaDiscoveryResponse[] = [];
  stream.on('data', (response: DeltaDiscoveryResponse) => {
    responses.push(response);
    stream.write({ ...nothingMore, responseNonce: response.nonce });
  });
  stream.on('error', () => {});
  stream.write({ ...nothingMore, resourceNamesSubscribe: ['default', 'db-password'] });
  closers.push(() => {
    stream.cancel();
    client.close();
  });
  return {
    had: () => responses.flatMap(({ resources }) => resources.map(({ name }) => name)),
    removed: () => responses.flatMap(({ removedResources }) => removedResources),
  };
}

const nothingMore: DeltaDiscoveryRequest = {
  ...DeltaDiscoveryRequest.decode(new Uint8Array()),
  typeUrl: secretTypeUrl,
};

function valuesOf(client: SdsClient): Map<string, unknown> {
  const secrets = client.responses.flatMap((response) => [...secretsOf(response)]);
  return new Map(
    secrets.map(([name, { type }]) => {
      if (type?.$case === 'genericSecret') {
        const { secret, secrets: many } = type.value;
        const plain = textOf(secret);
        const named = Object.entries(many).map(([each, value]) => [each, textOf(value)]);
        return [name, named.length === 0 ? plain : Object.fromEntries(named)];
      }
      if (type?.$case === 'sessionTicketKeys') {
        return [name, type.value.keys.map((key) => hexOf(key))];
      }
      return [name, type?.$case];
    }),
  );
}

type Source = { readonly specifier: { readonly value: unknown } | undefined } | undefined;

function textOf(source: Source): string {
  const value = source?.specifier?.value;
  return value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
}

function hexOf(source: Source): string {
  const value = source?.specifier?.value;
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : '';
}

/** The command of an operator, its values in files. */
async function signet(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return runSignet(['secret', ...args], { SIGNET_ADMIN_SOCKET: fixture.ca.adminSocket });
}

async function put(name: string, value: string, ...allow: readonly string[]): Promise<void> {
  await fixture.admin.putSecret(name, {
    values: { '': Buffer.from(value).toString('base64') },
    ...(allow.length === 0 ? {} : { allow: [...allow] }),
  });
}

async function records(type: string): Promise<AuditRecordView[]> {
  const { records: all } = await fixture.admin.audit({ from: 0, limit: 1000 });
  return all.filter((record) => record.type === type);
}

const nodeOf = (actor: string): string | undefined => /"id":"([^"]+)"/.exec(actor)?.[1];

const everyByte = (path: string): Buffer =>
  Buffer.concat(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => readFileSync(join(file.parentPath, file.name))),
  );

test('a secret reaches whom it is for, on every node, and nobody else; a new version is pushed; a delete withdraws', async () => {
  const file = join(directory, 'password');
  writeFileSync(file, `${canary}-1`);
  const shown = await signet('put', 'db-password', file, '--allow', webId);
  rmSync(file);
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('db-password') });
  expect(shown.stdout).not.toContain(canary);
  await put('other', 'not for web', 'spiffe://mesh.test/api');

  const clients = agents.map(({ socket }) => sds(socket));
  const stranger = await sdsOfApi(agents[0]);
  for (const client of [...clients, stranger]) client.ask(names);
  for (const client of clients) {
    await eventually(() => expect(valuesOf(client).get('db-password')).toBe(`${canary}-1`));
    await eventually(() => expect(valuesOf(client).get('default')).toBe('tlsCertificate'));
    expect(valuesOf(client).has('other')).toBe(false);
  }
  await eventually(() => expect(valuesOf(stranger).get('other')).toBe('not for web'));
  expect(valuesOf(stranger).has('db-password')).toBe(false);

  // Each read stands in the log, and who it was for; nothing of the value does.
  await eventually(async () => {
    const reads = (await records('secret.read')).filter(({ name }) => name === 'db-password');
    expect(reads).toMatchObject(
      agents.map(() => ({ version: 1, spiffeId: webId, actor: { kind: 'node' } })),
    );
    expect(
      new Set(reads.map(({ actor }) => JSON.stringify(actor)).map((text) => nodeOf(text))),
    ).toEqual(new Set(agents.map(({ nodeId }) => nodeId)));
  });

  await put('db-password', `${canary}-2`);
  for (const client of clients) {
    await eventually(() => expect(valuesOf(client).get('db-password')).toBe(`${canary}-2`));
  }
  // The disk of the CA has the name in clear, and neither value.
  const disk = everyByte(fixture.directory);
  expect(disk.includes('db-password')).toBe(true);
  for (const text of [
    canary,
    Buffer.from(canary).toString('base64'),
    Buffer.from(canary).toString('hex'),
  ]) {
    expect(disk.includes(text)).toBe(false);
  }

  // With the rule it is withdrawn: a client that comes now gets the rest, and it comes back with the rule.
  await fixture.admin.putSecret('db-password', { allow: ['spiffe://mesh.test/api'] });
  await eventually(() => expect(valuesOf(stranger).get('db-password')).toBe(`${canary}-2`));
  const late = sds(agents[1]?.socket ?? '');
  late.ask(names);
  await eventually(() => expect(valuesOf(late).has('session-ticket-keys')).toBe(true));
  expect(valuesOf(late).has('db-password')).toBe(false);
  await fixture.admin.putSecret('db-password', { allow: [webId] });
  await eventually(() => expect(valuesOf(late).get('db-password')).toBe(`${canary}-2`));

  // By delta a client is told of what is gone, and not only left without it.
  const delta = deltaOf(agents[0]?.socket ?? '');
  await eventually(() => expect(delta.had()).toContain('db-password'));
  expect((await signet('delete', 'db-password')).code).toBe(0);
  await eventually(() => expect(delta.removed()).toEqual(['db-password']));
  await eventually(async () => expect(await records('secret.deleted')).toHaveLength(1));
  const last = sds(agents[0]?.socket ?? '');
  last.ask(names);
  await eventually(() => expect(valuesOf(last).has('session-ticket-keys')).toBe(true));
  expect(valuesOf(last).has('db-password')).toBe(false);
});

test('session-ticket keys are one set for an identity on all nodes, and another for each other identity', async () => {
  const clients = agents.map(({ socket }) => sds(socket));
  const stranger = await sdsOfApi(agents[0]);
  for (const client of [...clients, stranger]) client.ask(['session-ticket-keys']);
  const keysOf = async (client: SdsClient | undefined): Promise<unknown> => {
    if (client === undefined) throw new Error('no client');
    await eventually(() => expect(valuesOf(client).has('session-ticket-keys')).toBe(true));
    return valuesOf(client).get('session-ticket-keys');
  };
  const web = await keysOf(clients[0]);
  expect(web).toEqual([expect.stringMatching(/^[0-9a-f]{160}$/)]);
  expect(await keysOf(clients[1])).toEqual(web);
  expect(await keysOf(stranger)).not.toEqual(web);
});

test('several values go as a map, from files; standard input is a file too; argv is none', async () => {
  for (const [name, value] of [
    ['token', 'abc'],
    ['url', 'https://x'],
  ] as const) {
    writeFileSync(join(directory, name), value);
  }
  const pairs = ['token', 'url'].flatMap((name) => ['--value', `${name}=${join(directory, name)}`]);
  expect(await signet('put', 'oauth', ...pairs, '--allow', 'spiffe://mesh.test/*')).toMatchObject({
    code: 0,
  });
  const client = sds(agents[0]?.socket ?? '');
  client.ask(['secret:oauth']);
  await eventually(() =>
    expect(valuesOf(client).get('secret:oauth')).toEqual({ token: 'abc', url: 'https://x' }),
  );

  const piped = execFile(
    process.execPath,
    [signetScript, 'secret', 'put', 'piped', '-', '--allow', 'spiffe://mesh.test/*'],
    { env: { SIGNET_ADMIN_SOCKET: fixture.ca.adminSocket } },
  );
  piped.stdin?.end('from a pipe');
  client.ask(['piped'], { responseNonce: client.last?.nonce ?? '' });
  await eventually(() => expect(valuesOf(client).get('piped')).toBe('from a pipe'));

  const wrong = await signet('put', 'oauth', '--value', `token=${canary}`);
  expect(wrong.code).not.toBe(0);
  expect(wrong.stderr).not.toContain(canary);
  const shown = await signet('show', 'oauth', '-o', 'json');
  expect(JSON.parse(shown.stdout)).toMatchObject({
    name: 'oauth',
    versions: [
      {
        values: [
          { name: 'token', bytes: 3 },
          { name: 'url', bytes: 9 },
        ],
      },
    ],
  });
  expect(shown.stdout).not.toContain('abc');
  expect((await signet('versions', 'oauth')).stdout).toContain('token (3 bytes), url (9 bytes)');
  expect((await signet('list')).stdout).toContain('spiffe://mesh.test/*');
});

test('a blocked identity loses its secrets, and another that may have them keeps them', async () => {
  await put('shared', canary, 'spiffe://mesh.test/*');
  const before = await sdsOfApi(agents[1]);
  before.ask(['shared']);
  await eventually(() => expect(valuesOf(before).get('shared')).toBe(canary));
  const api = 'spiffe://mesh.test/api';
  await fixture.admin.revoke({ spiffeId: api, block: true, reason: 'keyCompromise' });
  // Whoever comes after the push finds nothing; the witness on the same agent finds everything.
  await eventually(async () => {
    const client = await sdsOfApi(agents[1]);
    const witness = sds(agents[1]?.socket ?? '');
    for (const each of [client, witness]) each.ask(['ROOTCA', 'shared']);
    await eventually(() => expect(valuesOf(witness).get('shared')).toBe(canary));
    await eventually(() => expect(valuesOf(client).has('ROOTCA')).toBe(true));
    expect(valuesOf(client).has('shared')).toBe(false);
  });
});

test('while the CA is away the last good one is served, and a version put afterwards arrives', async () => {
  await put('kept', 'before', webId);
  const client = sds(agents[0]?.socket ?? '');
  client.ask(['kept']);
  await eventually(() => expect(valuesOf(client).get('kept')).toBe('before'));
  const port = fixture.ca.agentPort;
  await fixture.stop();
  const second = sds(agents[0]?.socket ?? '');
  second.ask(['kept', 'default']);
  // The first client still wants it, so the agent still has it.
  await eventually(() => expect(valuesOf(second).get('kept')).toBe('before'));
  await eventually(() => expect(valuesOf(second).get('default')).toBe('tlsCertificate'));
  await fixture.restart({
    listen: `127.0.0.1:${port}`,
    lifetimes: { root: '1h', issuing: '30m', x509Svid: '5m', nodeSvid: '5m' },
  });
  await put('kept', 'after');
  await eventually(() => expect(valuesOf(client).get('kept')).toBe('after'));
});
