/**
 * An outage that the node SVID does not outlive, with the real CA: the node comes back by what it was first
 * attested with, however long ago that was, unless an operator took its place meanwhile.
 *
 * For the token the CA's clock is half an hour behind until the outage: then its first use lies far back.
 */

import { X509Certificate } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import { type Clock, silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { lacks } from '../programs.ts';
import { eventually } from '../fakes/eventually.ts';
import { certificateOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { CaFixture } from './ca-fixture.ts';
import { makeMachine } from './machine-certificate.ts';

// It makes the machine's certificate, before each of them.
const noOpenssl = lacks('openssl');
let mesh: CaFixture;
let socket: string;
let agent: RunningAgent | undefined;
beforeEach(async () => {
  mesh = await CaFixture.begin(clockBehind, { lifetimes });
  await makeMachine(mesh.directory);
  mkdirSync(join(mesh.directory, 'run'));
  socket = join(mesh.directory, 'run', 'agent.sock');
});
afterEach(async () => {
  await agent?.close();
  agent = undefined;
  await mesh.end();
});

const behindMs = 30 * 60_000;
const clockBehind: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() - behindMs };
// A workload's certificate outlives the outage; a node's has six seconds, by the agent's clock.
const longer = { root: '4h', issuing: '2h', x509Svid: '1h', backdate: '5s' };
const lifetimes = { ...longer, nodeSvid: '1806s' };

const cases = [
  { attestation: 'join_token', clock: clockBehind, nodeSvid: '1806s' },
  // A machine's certificate is not good yet where the clock is behind.
  { attestation: 'x509pop', clock: systemClock, nodeSvid: '6s' },
] as const;

const attestors = () => ({ x509pop: { caBundle: join(mesh.directory, 'machines.pem') } });

/** An agent with a workload's certificate, and the port of its CA. */
async function startMesh({
  attestation,
  clock,
  nodeSvid,
}: (typeof cases)[number]): Promise<number> {
  mesh.clock = clock;
  await mesh.restart({ lifetimes: { ...longer, nodeSvid }, attestors: attestors() });
  const port = mesh.ca.agentPort;
  const { token, rootSha256 } = await mesh.admin.createToken({ ttlSeconds: 60 });
  const [certificate, key] = ['machine.pem', 'machine.key'].map((f) => join(mesh.directory, f));
  const config = {
    trustDomain: 'mesh.test',
    ca: { address: `127.0.0.1:${port}`, rootSha256 },
    socket,
    ...(attestation === 'join_token'
      ? { join: { token } }
      : { attest: { x509pop: { certificate, key } } }),
  };
  agent = await startAgent(parseAgentConfig(JSON.stringify(config), 'agent.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  });
  await mesh.admin.createEntry({
    spiffeId: 'spiffe://mesh.test/web',
    parentId: agent.nodeId,
    selectors: [`unix:uid:${process.getuid?.() ?? 0}`],
  });
  await servedSerial();
  return port;
}

/** Ends when the node SVID has; then the CA is back at the same port, by the right time. */
async function outage(port: number, meanwhile?: () => Promise<unknown>): Promise<void> {
  await mesh.stop();
  await eventually(
    () => expect(running().survival.current().nodeUntilMs).toBeLessThan(Date.now()),
    60_000,
  );
  mesh.clock = systemClock;
  if (meanwhile !== undefined) {
    // At another port, where the agent does not find it.
    await mesh.restart({ lifetimes });
    await meanwhile();
  }
  const listen = `127.0.0.1:${port}`;
  await mesh.restart({
    lifetimes: { ...longer, nodeSvid: '1h' },
    attestors: attestors(),
    listen,
  });
}

function running(): RunningAgent {
  if (agent === undefined) throw new Error('no agent');
  return agent;
}

async function servedSerial(): Promise<string> {
  const client = new SdsClient(socket);
  try {
    client.ask(['default']);
    return await eventually(
      () =>
        new X509Certificate(certificateOf(secretsOf(client.last).get('default')).chain)
          .serialNumber,
    );
  } finally {
    client.close();
  }
}

test.skipIf(noOpenssl).for(cases)(
  'by $attestation it comes back with nothing lost',
  async (attested) => {
    const port = await startMesh(attested);
    const before = await servedSerial();
    await outage(port);
    await eventually(
      () => expect(running().survival.current().nodeUntilMs).toBeGreaterThan(Date.now()),
      20_000,
    );
    expect(await servedSerial()).toBe(before);
    await eventually(async () => {
      const { nodes } = await mesh.admin.listNodes();
      expect(nodes).toMatchObject([{ spiffeId: running().nodeId, connected: true }]);
    });
    // It is a node like before: what is new is issued.
    await mesh.admin.createEntry({
      spiffeId: 'spiffe://mesh.test/new',
      parentId: running().nodeId,
      selectors: [`unix:uid:${process.getuid?.() ?? 0}`],
    });
    const client = new SdsClient(socket);
    client.ask(['spiffe://mesh.test/new']);
    await eventually(() => expect(secretsOf(client.last).has('spiffe://mesh.test/new')).toBe(true));
    client.close();
  },
);

test.skipIf(noOpenssl)('one that was banned meanwhile ends at once', async () => {
  const port = await startMesh(cases[0]);
  await outage(port, () => mesh.admin.banNode(running().nodeId, { reason: 'lost' }));
  expect(await running().refused).toMatchObject({ code: 'node_refused' });
});
