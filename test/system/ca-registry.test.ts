/** The registry's verbs with real parts: the command, openssl, a CA and an agent in this process. */

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { generateKeyPair } from '../../pki/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { attest, connectNode, csrOf, joinNode } from './ca-client.ts';
import { CaFixture, signed } from './ca-fixture.ts';
import { makeMachine } from './machine-certificate.ts';
import { type CommandResult, runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

const run = promisify(execFile);
let mesh: CaFixture;
beforeEach(async () => {
  mesh = await CaFixture.begin();
});
afterEach(() => mesh.end());

const signet = (...args: string[]): Promise<CommandResult> =>
  runSignet([...args, '--socket', mesh.ca.adminSocket]);

describe('join tokens', () => {
  const pool = 'spiffe://mesh.test/pool';

  test('are listed without their texts, and one that is deleted lets nobody in', async () => {
    const made = await signet('token', 'create', '--alias', pool, '-o', 'json');
    const lost = z.object({ id: z.string(), token: z.string() }).parse(JSON.parse(made.stdout));
    const joined = await mesh.join();
    const listed = await signet('token', 'list', '-o', 'json');
    expect(listed.stdout).not.toContain(lost.token);
    expect(JSON.parse(listed.stdout)).toEqual({
      tokens: expect.arrayContaining([
        expect.objectContaining({ id: lost.id, alias: pool, state: 'unused' }),
        expect.objectContaining({ spiffeId: joined.spiffeId, state: 'used' }),
      ]),
    });
    expect((await signet('token', 'list')).stdout).toMatch(
      new RegExp(`^${lost.id} +unused +in .+ +${pool}$`, 'm'),
    );

    expect(await signet('token', 'delete', lost.id)).toMatchObject({
      code: 0,
      stdout: `deleted ${lost.id}\n`,
    });
    await expect(joinNode(await mesh.address(), lost.token)).rejects.toMatchObject({
      code: 'token_unknown',
    });
    const again = await signet('token', 'delete', lost.id);
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining(lost.id) });

    // Whoever has joined stays, without the token.
    await mesh.admin.deleteToken(joined.spiffeId.split('/').at(-1) ?? '');
    await joined.renew();
    joined.close();
    const { records } = await mesh.admin.audit({ from: -20 });
    const tokens = records.filter(({ type }) => type.startsWith('token.'));
    expect(tokens).toMatchObject([
      { type: 'token.created', tokenId: lost.id },
      { type: 'token.created' },
      { type: 'token.used', nodeId: joined.spiffeId },
      { type: 'token.deleted', tokenId: lost.id, aliasId: pool },
      { type: 'token.deleted' },
    ]);
  });
});

describe('entries', () => {
  const base = { parentId: 'spiffe://mesh.test/pool', selectors: ['unix:uid:1'] };

  test('of two who change one entry, the second is told', async () => {
    const { id } = await mesh.admin.createEntry({ ...base, spiffeId: 'spiffe://mesh.test/a' });
    const first = await signet('entry', 'update', id, '--priority', '3', '-o', 'json');
    expect(JSON.parse(first.stdout)).toMatchObject({ revision: 2, priority: 3 });
    const second = await signet('entry', 'update', id, '--hint', 'x', '--revision', '1');
    expect(second).toMatchObject({ code: 1 });
    expect(second.stderr).toContain('is at revision 2, not 1');
    expect(await mesh.admin.getEntry(id)).toMatchObject({ hint: '', revision: 2 });
    const { records } = await mesh.admin.audit({ from: -10 });
    expect(records.filter(({ type }) => type === 'entry.updated')).toHaveLength(1);
  });

  test('an entry that ends is withdrawn from its node at that moment', async () => {
    const node = await mesh.join();
    const sync = node.sync();
    const entry = await mesh.admin.createEntry({
      spiffeId: 'spiffe://mesh.test/guest',
      parentId: node.spiffeId,
      selectors: ['unix:uid:1'],
      expiresAt: new Date(systemClock.wallMs() + 5000).toISOString(),
    });
    const state = await sync.state(({ entries }) => entries.length === 1);
    expect(await signed(node, entry.id)).toHaveLength(2);
    await sync.state(({ entries, revision }) => entries.length === 0 && revision > state.revision);
    expect((await node.sign(entry.id)).items[0]?.outcome).toMatchObject({
      value: { code: 'entry_not_authorized' },
    });
    node.close();
  });

  test('what is exported can be imported; a dry run shows the difference and does nothing', async () => {
    for (const name of ['stays', 'changes', 'goes']) {
      await mesh.admin.createEntry({ ...base, spiffeId: `spiffe://mesh.test/${name}` });
    }
    const exported = await signet('entry', 'export', '--lines');
    const file = join(mesh.directory, 'entries.jsonl');
    await writeFile(file, exported.stdout);
    expect((await signet('entry', 'import', file, '--prune')).stdout).toContain('3 as they were');

    const [stays = '', changes = ''] = exported.stdout.split('\n');
    const changed = JSON.stringify({ ...JSON.parse(changes), hint: 'new', dnsNames: ['c.test'] });
    const comes = JSON.stringify({ ...base, spiffeId: 'spiffe://mesh.test/comes' });
    await writeFile(file, `${stays}\n${changed}\n${comes}\n`);
    const before = await mesh.admin.listEntries({});
    const dry = await signet('entry', 'import', file, '--prune', '--dry-run');
    expect(dry.stdout.replaceAll(/ {2}unix:.*?pool/g, '').split('\n')).toEqual([
      '~ spiffe://mesh.test/changes  (dnsNames, hint)',
      '+ spiffe://mesh.test/comes',
      '- spiffe://mesh.test/goes',
      '1 to add, 1 to change, 1 to remove, 1 as they were',
      '',
    ]);
    expect(await mesh.admin.listEntries({})).toEqual(before);
    expect((await signet('entry', 'import', file, '--prune')).stdout).toContain('1 added');
    expect((await mesh.admin.listEntries({ limit: 2 })).next).toBeDefined();
  });

  test('a large import shows how far it is, and again does what is left', async () => {
    const file = join(mesh.directory, 'many.jsonl');
    const line = (n: number): string =>
      JSON.stringify({ ...base, spiffeId: `spiffe://mesh.test/many/${n}` });
    await writeFile(file, Array.from({ length: 700 }, (_, n) => `${line(n)}\n`).join(''));
    const seen: string[] = [];
    const entries = Array.from(
      { length: 500 },
      (_, n) => JSON.parse(line(n)) as typeof base & { spiffeId: string },
    );
    const first = await mesh.admin.importEntries({ entries }, ({ done, of }) =>
      seen.push(`${done}/${of}`),
    );
    expect(first).toMatchObject({ outcome: 'applied', unchanged: 0 });
    expect(seen.at(-1)).toBe('500/500');
    expect(seen.length).toBeGreaterThanOrEqual(2);
    expect(
      await mesh.admin.importEntries({ entries: [{ ...base, spiffeId: 'x' }] }, () => {}),
    ).toMatchObject({ outcome: 'refused' });
    const rest = await signet('entry', 'import', file);
    expect(rest.stdout).toContain('200 added, 0 changed, 0 removed, 500 as they were');
    await writeFile(file, Array.from({ length: 1400 }, (_, n) => `${line(n)}\n`).join(''));
    expect((await signet('entry', 'import', file)).stderr).toContain('700 of 700 changes written');
  });

  test('one bad line refuses the whole file, and every fault is named with its line', async () => {
    const file = join(mesh.directory, 'bad.yaml');
    const good = `- { spiffeId: "spiffe://mesh.test/a", parentId: "spiffe://mesh.test/p", selectors: ["a:b"] }\n`;
    await writeFile(
      file,
      `${good}${good.replace('mesh.test/a', 'other.test/b')}${good.replace('["a:b"]', '[]')}`,
    );
    const { code, stderr } = await signet('entry', 'import', file);
    expect(code).toBe(2);
    expect(stderr).toContain(`bad.yaml:2: spiffeId: `);
    expect(stderr).toContain(`bad.yaml:3: selectors: `);
    expect((await mesh.admin.listEntries({})).entries).toEqual([]);
  });
});

describe('a node', () => {
  test('that is evicted is cut off at once, whatever it holds', async () => {
    const node = await mesh.join();
    const entryId = await mesh.webEntry(node);
    const sync = node.sync();
    await sync.state(({ entries }) => entries.length === 1);
    const { stdout } = await signet(
      'node',
      'evict',
      node.spiffeId,
      '--reason',
      'gone',
      '-o',
      'json',
    );
    expect(JSON.parse(stdout)).toMatchObject({ spiffeId: node.spiffeId });
    expect(await sync.ended).toMatchObject({
      message: expect.stringMatching(/not registered|was revoked/),
    });
    await expect(node.sign(entryId)).rejects.toMatchObject({ code: 'node_svid_revoked' });
    await expect(node.renew()).rejects.toMatchObject({ code: 'node_svid_revoked' });
    expect((await mesh.admin.listNodes()).nodes).toEqual([]);
    const { records } = await mesh.admin.audit({ from: -20 });
    expect(records).toContainEqual(
      expect.objectContaining({ type: 'node.evicted', nodeId: node.spiffeId, reason: 'gone' }),
    );
    node.close();
  });

  test('is named by its token and by its selectors, and entries follow either name', async () => {
    const alias = 'spiffe://mesh.test/pool';
    const { token } = await mesh.admin.createToken({ ttlSeconds: 60, alias });
    const [named, other] = [await joinNode(await mesh.address(), token), await mesh.join()];
    const tokenId = other.spiffeId.split('/').at(-1) ?? '';
    const create = ['entry', 'create', '--id'];
    const rack = 'spiffe://mesh.test/rack';
    const ca = 'spiffe://mesh.test/signet/ca';
    await signet(...create, rack, '--parent', ca, '--selector', `join_token:${tokenId}`);
    for (const parent of [alias, rack]) {
      const id = `${parent}/web`;
      await signet(...create, id, '--parent', parent, '--selector', 'unix:uid:1');
    }
    const idsOf = async (node: typeof named): Promise<readonly string[]> => {
      const state = await node.sync().state(({ entries }) => entries.length > 0);
      return state.entries.map(({ spiffeId }) => spiffeId);
    };
    expect(await idsOf(named)).toEqual([`${alias}/web`]);
    expect(await idsOf(other)).toEqual([`${rack}/web`]);
    const { stdout } = await signet('node', 'list', '-o', 'json');
    expect((JSON.parse(stdout) as { nodes: object[] }).nodes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ spiffeId: named.spiffeId, connected: true }),
        expect.objectContaining({ spiffeId: other.spiffeId, connected: true }),
      ]),
    );
    named.close();
    other.close();
  });

  test('that is gone for long is forgotten, and one that lives is not', async () => {
    const lifetimes = { root: '1h', issuing: '60s', x509Svid: '2s', backdate: '5s' };
    await mesh.restart({ lifetimes: { ...lifetimes, nodeSvid: '2s' } });
    const gone = await mesh.join();
    gone.close();
    await mesh.restart({ lifetimes: { ...lifetimes, nodeSvid: '20s' } });
    const lives = await mesh.join();
    await eventually(async () => {
      const { stdout } = await signet('node', 'prune', '--expired-for', '0');
      expect(stdout).toBe(`${gone.spiffeId}\n1 nodes forgotten\n`);
    });
    const { nodes } = await mesh.admin.listNodes();
    expect(nodes.map(({ spiffeId }) => spiffeId)).toEqual([lives.spiffeId]);
    lives.close();
  });

  test('that is banned stays out though it attests again, until it is unbanned', async () => {
    const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
    const address = await mesh.address();
    const { privateKey } = generateKeyPair('ec-p256');
    const csr = await csrOf(privateKey);
    const attested = await attest(address, token, csr);
    const node = connectNode(address, privateKey, attested);
    const entryId = await mesh.webEntry(node);
    await mesh.admin.banNode(node.spiffeId, { reason: 'strange' });
    await eventually(() =>
      expect(node.sign(entryId)).rejects.toMatchObject({ code: 'node_unknown' }),
    );
    await expect(attest(address, token, csr)).rejects.toMatchObject({ code: 'node_banned' });
    await expect(mesh.admin.evictNode(node.spiffeId, {})).rejects.toMatchObject({
      code: 'node_banned',
    });
    expect(await mesh.admin.pruneNodes({ expiredForSeconds: 0 })).toEqual({ spiffeIds: [] });
    expect(await mesh.admin.getNode(node.spiffeId)).toMatchObject({
      banned: { reason: 'strange' },
    });
    await mesh.admin.unbanNode(node.spiffeId, {});
    await eventually(async () => expect(await signed(node, entryId)).toHaveLength(2));
    expect(await attest(address, token, csr)).toMatchObject({ spiffeId: node.spiffeId });
    node.close();
  });
});

describe.skipIf(lacks('openssl'))('a machine with a certificate of the operator', () => {
  let agent: RunningAgent | undefined;
  afterEach(async () => {
    await agent?.close();
    agent = undefined;
  });

  test('is attested by it, and a rule gives it an identity by its name', async () => {
    await makeMachine(mesh.directory);
    const caBundle = join(mesh.directory, 'machines.pem');
    await mesh.restart({ attestors: { x509pop: { caBundle } } });
    agent = await startAgent(await agentConfig('machine.key'), agentDeps);
    expect(agent.nodeId).toMatch(/^spiffe:\/\/mesh\.test\/signet\/node\/x509pop\/[0-9a-f]{40}$/);
    const { nodes } = await mesh.admin.listNodes();
    expect(nodes[0]?.selectors).toContain('x509pop:subject:cn:web-7');
    expect(nodes[0]?.selectors).toContain('x509pop:san:dns:web-7.rack.test');

    const template = 'spiffe://{td}/host/{x509pop.cn}';
    const user = `unix:uid:${process.getuid?.() ?? 0}`;
    const args = ['--template', template, '--require', user, '-o', 'json'];
    const created = await signet('rule', 'create', ...args);
    const { id } = JSON.parse(created.stdout) as { id: string };
    const explained = await signet('rule', 'explain', id);
    expect(explained.stdout).toContain('spiffe://mesh.test/host/web-7');
    await eventually(async () => {
      const { records } = await mesh.admin.audit({ from: -20 });
      expect(records).toContainEqual(
        expect.objectContaining({
          type: 'svid.issued',
          certificate: expect.objectContaining({
            spiffeId: 'spiffe://mesh.test/host/web-7',
            entryId: expect.stringContaining(`rule:${id}:x509pop/`),
          }),
        }),
      );
    });
  });

  test('is refused with the key of another, and the agent says what is wrong', async () => {
    await makeMachine(mesh.directory);
    await mesh.restart({
      attestors: { x509pop: { caBundle: join(mesh.directory, 'machines.pem') } },
    });
    await run('openssl', [...newKey, '-out', join(mesh.directory, 'other.key')]);
    await expect(startAgent(await agentConfig('other.key'), agentDeps)).rejects.toMatchObject({
      code: 'x509pop_files',
      message: expect.stringContaining('is not the key'),
    });
  });

  const newKey = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const agentDeps = {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  };

  async function agentConfig(key: string): Promise<ReturnType<typeof parseAgentConfig>> {
    const bundle = join(mesh.directory, 'bundle.json');
    await writeFile(bundle, await mesh.admin.bundle());
    return parseAgentConfig(
      JSON.stringify({
        trustDomain: 'mesh.test',
        ca: { address: `127.0.0.1:${mesh.ca.agentPort}`, bundle },
        socket: join(mesh.directory, 'agent.sock'),
        attest: {
          x509pop: {
            certificate: join(mesh.directory, 'machine.pem'),
            key: join(mesh.directory, key),
          },
        },
      }),
      'agent.yaml',
    );
  }
});
