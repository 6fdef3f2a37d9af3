/** Two trust domains, each with a CA: what a workload of one comes to know of the other, and when it stops. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startAgent } from '../../agent/agent.ts';
import { parseAgentConfig } from '../../agent/config.ts';
import { type AdminClient, adminClient } from '../../api/index.ts';
import type { RunningCa } from '../../ca/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { parseBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { rootsOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { WorkloadClient } from '../fakes/workload-client.ts';
import { CaFixture } from './ca-fixture.ts';
import { type CommandResult, runSignet } from './signet-command.ts';

const me = `unix:uid:${process.getuid?.()}`;
const own = 'spiffe://mesh.test';
const theirs = 'spiffe://partner.test';

let mesh: CaFixture;
let partnerCa: RunningCa;
let partner: AdminClient;
let directory: string;
let socket: string;
let nodeId: string;
const closers: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'federation-'));
  socket = join(directory, 'agent.sock');
  mesh = await CaFixture.begin();
  partnerCa = await mesh.start({ trustDomain: 'partner.test', data: join(directory, 'ca') });
  partner = adminClient(partnerCa.adminSocket);
  closers.push(
    () => rmSync(directory, { recursive: true }),
    () => mesh.end(),
    () => partnerCa.close(),
  );
  const token = await mesh.admin.createToken({ ttlSeconds: 60 });
  nodeId = token.spiffeId;
  const config = parseAgentConfig(
    `trustDomain: mesh.test
ca: { address: "127.0.0.1:${mesh.ca.agentPort}", rootSha256: "${token.rootSha256}" }
socket: ${socket}
join: { token: "${token.token}" }`,
    'agent.yaml',
  );
  const agent = await startAgent(config, {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  });
  closers.push(() => agent.close());
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function register(federatesWith: readonly string[]): Promise<void> {
  await mesh.admin.createEntry({
    spiffeId: 'spiffe://mesh.test/web',
    parentId: nodeId,
    selectors: [me],
    federatesWith: [...federatesWith],
  });
}

function bundle(...args: string[]): Promise<CommandResult> {
  return runSignet(['bundle', ...args, '--socket', mesh.ca.adminSocket]);
}

async function partnerFile(name = 'partner.json'): Promise<string> {
  const path = join(directory, name);
  writeFileSync(path, await partner.bundle());
  return path;
}

/** A token of the partner's, by its CA's own word. */
async function partnerToken(): Promise<string> {
  const { entries } = await partner.listEntries({});
  const entry =
    entries[0] ??
    (await partner.createEntry({
      spiffeId: 'spiffe://partner.test/shop',
      parentId: 'spiffe://partner.test/signet/node/join_token/none',
      selectors: ['unix:uid:1'],
    }));
  const { token } = await partner.mintJwt({ entryId: entry.id, audience: ['orders'] });
  return token;
}

test('a workload whose entry names the domain gets its bundle, its roots and its tokens validated, until the bundle is deleted', async () => {
  await register(['partner.test']);
  const client = new WorkloadClient(socket);
  const sds = new SdsClient(socket);
  closers.push(
    () => client.close(),
    () => sds.close(),
  );
  sds.ask(['ALL', theirs]);
  const [x509, jwt] = [
    await eventually(async () => {
      const stream = client.bundles();
      await eventually(() => expect(stream.messages.length).toBe(1));
      return stream;
    }),
    client.jwtBundles(),
  ];
  const known = () => [
    Object.keys(x509.messages.at(-1)?.bundles ?? {}),
    Object.keys(jwt.messages.at(-1)?.bundles ?? {}),
    [...rootsOf(secretsOf(sds.last).get('ALL')).keys()],
  ];
  await eventually(() => expect(known()).toEqual([[own], [own], ['mesh.test']]));
  const svid = await partnerToken();
  expect((await client.validate({ audience: 'orders', svid })).code).toBe(3);

  expect(await bundle('set', 'partner.test', '--file', await partnerFile())).toMatchObject({
    code: 0,
    stderr: '',
  });
  await eventually(() =>
    expect(known()).toEqual([
      [own, theirs],
      [own, theirs],
      ['mesh.test', 'partner.test'],
    ]),
  );
  await eventually(() => expect([...secretsOf(sds.last).keys()]).toContain(theirs));
  const valid = await client.validate({ audience: 'orders', svid });
  expect(valid.message?.spiffeId).toBe('spiffe://partner.test/shop');

  // What is reported of root rotations is about our own domain: the client counts as before.
  sds.acknowledge(['ALL', theirs]);
  await eventually(async () => {
    const root = await mesh.root('active');
    expect(root.propagation).toMatchObject({ nodesApplied: 1, subscribers: 1, acknowledged: 1 });
  });

  expect((await bundle('delete', 'partner.test')).stdout).toBe(
    'deleted the bundle of partner.test\n',
  );
  await eventually(() => expect(known()).toEqual([[own], [own], ['mesh.test']]));
  expect((await client.validate({ audience: 'orders', svid })).code).toBe(3);
  const { records } = await mesh.admin.audit({ from: -100 });
  expect(records.map(({ type }) => type).filter((type) => type.startsWith('federated'))).toEqual([
    'federated_bundle.set',
    'federated_bundle.deleted',
  ]);
});

test('a workload whose entry names nobody learns of no other domain, though the CA knows it', async () => {
  await register([]);
  await mesh.admin.setFederatedBundle('partner.test', await partner.bundle());
  const client = new WorkloadClient(socket);
  closers.push(() => client.close());
  const stream = await eventually(async () => {
    const bundles = client.bundles();
    await eventually(() => expect(bundles.messages.length).toBe(1));
    return bundles;
  });
  expect(Object.keys(stream.messages[0]?.bundles ?? {})).toEqual([own]);
  const svid = await partnerToken();
  expect(await client.validate({ audience: 'orders', svid })).toMatchObject({
    code: 3,
    details: expect.stringContaining('jwt_trust_domain'),
  });
});

test('a rotation at the partner is followed by giving its new bundle; an older one is refused unless forced', async () => {
  await register(['partner.test']);
  const old = await partnerFile('old.json');
  const before = await partner.bundle();
  await mesh.admin.setFederatedBundle('partner.test', before);
  await partner.prepareAuthority('root');
  await partner.prepareAuthority('jwt');
  await mesh.admin.setFederatedBundle('partner.test', await partner.bundle());
  const client = new WorkloadClient(socket);
  closers.push(() => client.close());
  const jwt = await eventually(async () => {
    const stream = client.jwtBundles();
    await eventually(() =>
      expect(Object.keys(stream.messages[0]?.bundles ?? {})).toContain(theirs),
    );
    return stream;
  });
  const keyCount = () => {
    const text = Buffer.from(jwt.messages.at(-1)?.bundles[theirs] ?? []).toString();
    const { keys } = JSON.parse(text) as { keys: unknown[] };
    return keys.length;
  };
  await eventually(() => expect(keyCount()).toBe(2));

  const refused = await bundle('set', 'partner.test', '--file', old);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('sequence')]);
  expect((await bundle('set', 'partner.test', '--file', old, '--force')).code).toBe(0);
  await eventually(() => expect(keyCount()).toBe(1));
  const shown = await bundle('show', 'partner.test');
  const domain = parseTrustDomain('partner.test');
  expect(parseBundle(shown.stdout, domain).sequence).toBe(parseBundle(before, domain).sequence);
  expect((await bundle('list')).stdout).toMatch(/partner\.test/);
});

test('the own trust domain is refused, and what is no bundle; a bundle survives a restart of the CA', async () => {
  const file = await partnerFile();
  const ownTry = await bundle('set', 'mesh.test', '--file', file);
  expect([ownTry.code, ownTry.stderr]).toEqual([2, expect.stringContaining('own trust domain')]);
  const broken = join(directory, 'broken.json');
  writeFileSync(broken, '{"keys":{}}');
  expect((await bundle('set', 'partner.test', '--file', broken)).code).toBe(2);
  await expect(mesh.admin.federatedBundle('partner.test')).rejects.toMatchObject({
    code: 'federated_bundle_unknown',
  });
  await mesh.admin.setFederatedBundle('partner.test', await partner.bundle());
  const sha = (await mesh.admin.listFederatedBundles()).bundles[0]?.sha256;
  await mesh.restart();
  expect((await mesh.admin.listFederatedBundles()).bundles[0]).toMatchObject({ sha256: sha });
});
