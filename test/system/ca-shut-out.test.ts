/** What becomes of an agent, a process of its own, when an operator shuts its node out. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test as anyTest } from 'vitest';
import type { NodeView } from '../../api/index.ts';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { eventually } from '../fakes/eventually.ts';
import { CaFixture } from './ca-fixture.ts';
import { makeMachine } from './machine-certificate.ts';
import { runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

const test = anyTest.skipIf(lacks('openssl'));
let mesh: CaFixture;
const agents: ChildProcess[] = [];
beforeEach(async () => {
  mesh = await CaFixture.begin();
  await makeMachine(mesh.directory);
  // Lives so long that nothing here happens because it ended.
  await mesh.restart({
    attestors: { x509pop: { caBundle: join(mesh.directory, 'machines.pem') } },
    lifetimes: { root: '1h', issuing: '20m', x509Svid: '60s', nodeSvid: '5m', backdate: '5s' },
  });
});
afterEach(async () => {
  await Promise.all(agents.splice(0).map(end));
  await mesh.end();
});

interface AgentProcess {
  readonly exited: Promise<number | null>;
  text(): string;
}

async function startAgent(attestation: object): Promise<AgentProcess> {
  const bundle = join(mesh.directory, 'bundle.json');
  await writeFile(bundle, await mesh.admin.bundle());
  const config = join(mesh.directory, 'agent.yaml');
  await writeFile(
    config,
    JSON.stringify({
      trustDomain: 'mesh.test',
      ca: { address: `127.0.0.1:${mesh.ca.agentPort}`, bundle },
      socket: join(mesh.directory, 'agent.sock'),
      ...attestation,
    }),
  );
  const child = spawn(process.execPath, [signetScript, 'agent', 'run', '--config', config], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  agents.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  return { exited: once(child, 'exit').then(([code]) => Number(code)), text: () => text };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function connected(): Promise<NodeView> {
  let found: NodeView | undefined;
  await eventually(async () => {
    const { nodes } = await mesh.admin.listNodes();
    found = nodes.find((node) => node.connected);
    expect(found).toBeDefined();
  });
  if (found === undefined) throw new Error('no node');
  return found;
}

const machine = () => ({
  attest: {
    x509pop: {
      certificate: join(mesh.directory, 'machine.pem'),
      key: join(mesh.directory, 'machine.key'),
    },
  },
});

const node = (verb: string, id: string) =>
  runSignet(['node', verb, id, '--reason', 'test', '--socket', mesh.ca.adminSocket]);

test('an evicted machine comes back with a certificate of its own only under a new SVID', async () => {
  const agent = await startAgent(machine());
  const before = await connected();
  expect(await node('evict', before.spiffeId)).toMatchObject({ code: 0 });
  await eventually(async () => {
    const after = await connected();
    expect(after.spiffeId).toBe(before.spiffeId);
    expect(after.svidSerial).not.toBe(before.svidSerial);
  });
  const { revocations } = await mesh.admin.listRevocations();
  expect(revocations.map(({ serial }) => serial)).toEqual([before.svidSerial]);
  const { records } = await mesh.admin.audit({ from: -30 });
  expect(records.map(({ type }) => type)).toEqual(
    expect.arrayContaining(['svid.revoked', 'node.evicted', 'node.attested']),
  );
  expect(agent.text()).not.toContain('shut this node out');
});

test('an evicted node with a spent join token stops, and says what to do', async () => {
  const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
  const agent = await startAgent({ join: { token } });
  const { spiffeId } = await connected();
  await node('evict', spiffeId);
  expect(await agent.exited).toBe(2);
  expect(agent.text()).toContain('the CA has shut this node out');
  expect(agent.text()).toContain('signet token create');
  expect((await mesh.admin.listNodes()).nodes).toEqual([]);
});

test('a node whose certificate was revoked is not brought back by its join token', async () => {
  const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
  const agent = await startAgent({ join: { token } });
  const { svidSerial } = await connected();
  const revoke = ['svid', 'revoke', '--serial', svidSerial, '--socket', mesh.ca.adminSocket];
  expect(await runSignet(revoke)).toMatchObject({ code: 0 });
  expect(await agent.exited).toBe(2);
  expect(agent.text()).toContain('the CA has shut this node out');
});

test('a machine whose certificate was revoked comes back by a new one', async () => {
  await startAgent(machine());
  const { svidSerial } = await connected();
  await runSignet(['svid', 'revoke', '--serial', svidSerial, '--socket', mesh.ca.adminSocket]);
  await eventually(async () => expect((await connected()).svidSerial).not.toBe(svidSerial));
});

test('a banned machine stops whatever it can prove, until it is let in again', async () => {
  const agent = await startAgent(machine());
  const { spiffeId } = await connected();
  await node('ban', spiffeId);
  expect(await agent.exited).toBe(2);
  expect(agent.text()).toContain(`node ${spiffeId} is banned`);
  await node('unban', spiffeId);
  await startAgent(machine());
  expect((await connected()).spiffeId).toBe(spiffeId);
});
