/** Identities that workloads derive by a rule, with a real agent and the kernel's word on who calls. */

import { join } from 'node:path';
import { userInfo } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { generateKeyPair, parseCertificate } from '../../pki/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import { WorkloadClient } from '../fakes/workload-client.ts';
import { csrOf } from './ca-client.ts';
import { CaFixture } from './ca-fixture.ts';
import { type CommandResult, runSignet } from './signet-command.ts';

const tokenTimes = z.object({ issuedAt: z.string(), expiresAt: z.string() });
let mesh: CaFixture;
let agent: RunningAgent | undefined;
let client: WorkloadClient | undefined;
beforeEach(async () => {
  mesh = await CaFixture.begin();
});
afterEach(async () => {
  client?.close();
  await agent?.close();
  client = undefined;
  agent = undefined;
  await mesh.end();
});

const signet = (...args: string[]): Promise<CommandResult> =>
  runSignet([...args, '--socket', mesh.ca.adminSocket]);
const { username, uid } = userInfo();
const template = 'spiffe://{td}/user/{unix.user}';

async function createRule(): Promise<string> {
  const condition = ['--require', `unix:uid:${uid}`, '--trust', 'unix=agent'];
  const { stdout } = await signet(
    'rule',
    'create',
    '--template',
    template,
    ...condition,
    '-o',
    'json',
  );
  return (JSON.parse(stdout) as { id: string }).id;
}

test('a workload is named by its user, renewed, and loses the identity with the rule', async () => {
  const { token, rootSha256 } = await mesh.admin.createToken({ ttlSeconds: 60 });
  const socket = join(mesh.directory, 'agent.sock');
  const ca = { address: `127.0.0.1:${mesh.ca.agentPort}`, rootSha256 };
  agent = await startAgent(
    parseAgentConfig(
      JSON.stringify({ trustDomain: 'mesh.test', ca, socket, join: { token } }),
      'agent.yaml',
    ),
    { clock: systemClock, random: systemRandom, log: silentLogger, environment: {} },
  );
  const id = await createRule();
  expect((await signet('rule', 'explain', id)).stdout).toContain(
    'spiffe://mesh.test/user/{unix.user}',
  );

  client = new WorkloadClient(socket);
  const stream = client.svids();
  const serials = (): readonly string[] =>
    stream.messages.flatMap(({ svids }) =>
      svids.map(({ x509Svid }) => parseCertificate(firstOf(x509Svid)).serial),
    );
  await eventually(async () => expect(stream.messages.length).toBeGreaterThan(0));
  expect(stream.messages[0]?.svids).toMatchObject([
    { spiffeId: `spiffe://mesh.test/user/${username}` },
  ]);
  // Four seconds of life: it is renewed by itself.
  await eventually(async () => expect(new Set(serials()).size).toBeGreaterThan(1));
  const { records } = await mesh.admin.audit({ from: -50 });
  expect(records).toContainEqual(
    expect.objectContaining({
      type: 'svid.issued',
      certificate: expect.objectContaining({
        spiffeId: `spiffe://mesh.test/user/${username}`,
        entryId: `rule:${id}:${agent.nodeId.split('/node/')[1] ?? ''}`,
        workloadSelectors: [`unix:uid:${uid}`, `unix:user:${username}`].toSorted(),
      }),
    }),
  );
  expect((await mesh.admin.status()).entries).toBe(0);

  await signet('rule', 'delete', id);
  await eventually(async () =>
    expect(stream.ended).toMatchObject({ details: 'no identity issued' }),
  );
});

test('a node is told of the rule and is refused what the rule does not say', async () => {
  const [node, other] = [await mesh.join(), await mesh.join()];
  const sync = node.sync();
  await createRule();
  const state = await sync.state(({ derivables }) => derivables.length === 1);
  const [derivable] = state.derivables;
  const entryId = `${derivable?.id ?? ''}#mine`;
  const good = [`unix:uid:${uid}`, 'unix:user:web'];
  const asked = async (by: typeof node, selectors: readonly string[]): Promise<string> => {
    const csr = await csrOf(generateKeyPair('ec-p256').privateKey);
    const outcome = (await by.sign(entryId, csr, selectors)).items[0]?.outcome;
    return outcome?.$case === 'chain' ? 'issued' : (outcome?.value.code ?? 'nothing');
  };
  const refused = 'entry_not_authorized';
  expect(await asked(node, good)).toBe('issued');
  expect(await asked(other, good)).toBe(refused);
  expect(await asked(node, [])).toBe(refused);
  expect(await asked(node, ['unix:user:web'])).toBe(refused);
  expect(await asked(node, [...good, 'unix:user:root'])).toBe(refused);
  expect(await asked(node, [`unix:uid:${uid}`, 'unix:user:../signet/ca'])).toBe(refused);
  const minted = await node.mint([{ entryId, audience: ['a'], ttlMs: 0n, selectors: good }]);
  expect(minted.items[0]?.outcome?.$case).toBe('minted');
  const { records } = await mesh.admin.audit({ from: -1 });
  expect(records[0]).toMatchObject({ type: 'jwt.issued', token: { workloadSelectors: good } });
  node.close();
  other.close();
});

test('a rule’s names, other domains and life of tokens reach the certificate, the node and the token', async () => {
  const { anchorsPem } = await makeTestPki({
    nowMs: systemClock.wallMs(),
    trustDomain: 'partner.test',
  });
  await mesh.admin.setFederatedBundle('partner.test', anchorsPem);
  const node = await mesh.join();
  const sync = node.sync();
  const more = ['--dns', '{join_token.id}.hosts.mesh.test', '--federates-with', 'partner.test'];
  const base = ['rule', 'create', '--template', template, '--require', `unix:uid:${uid}`];
  const made = await signet(...base, '--trust', 'unix=agent', '--jwt-ttl', '20', ...more);
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/JWT TTL +20s/) });
  const state = await sync.state(({ derivables }) => derivables.length === 1);
  expect(state.derivables).toMatchObject([{ federatesWith: ['partner.test'] }]);
  expect(Object.keys(state.federatedBundles)).toEqual(['partner.test']);

  const entryId = `${state.derivables[0]?.id ?? ''}#mine`;
  const selectors = [`unix:uid:${uid}`, 'unix:user:web'];
  const csr = await csrOf(generateKeyPair('ec-p256').privateKey);
  const outcome = (await node.sign(entryId, csr, selectors)).items[0]?.outcome;
  if (outcome?.$case !== 'chain') throw new Error(JSON.stringify(outcome));
  const leaf = parseCertificate(new Uint8Array(outcome.value.certificates[0] ?? []));
  const host = node.spiffeId.split('/').at(-1) ?? '';
  expect(leaf.extensions.subjectAltName).toMatchObject({ dnsNames: [`${host}.hosts.mesh.test`] });
  await node.mint([{ entryId, audience: ['a'], ttlMs: 0n, selectors }]);
  const { records } = await mesh.admin.audit({ from: -1 });
  const { token } = z.object({ token: tokenTimes }).parse(records[0]);
  expect(Date.parse(token.expiresAt) - Date.parse(token.issuedAt)).toBe(20_000);
  node.close();
});

test('trust that no placeholder asks for, and an agent’s word on what nodes prove, are refused', async () => {
  const base = ['rule', 'create', '--require', 'unix:uid:1', '--template'];
  const none = await signet(...base, template, '--trust', 'k8s=agent');
  expect(none).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no placeholder of type'),
  });
  const node = await signet(...base, 'spiffe://{td}/{x509pop.cn}', '--trust', 'x509pop=agent');
  expect(node.stderr).toContain('what a node proves of itself');
  expect(await signet(...base, template, '--trust', 'unix=agent')).toMatchObject({ code: 0 });
});

/** The first of concatenated certificates: its own length says where it ends. */
function firstOf(chain: Uint8Array): Uint8Array {
  const der = Buffer.from(chain);
  return new Uint8Array(der.subarray(0, 4 + der.readUInt16BE(2)));
}
