/** What a restarted agent makes of its sealed cache, against a CA that comes and goes, and several addresses. */

import { hash, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import { agentAdminClient } from '../../api/index.ts';
import { silentLogger, systemClock, systemRandom, freePorts } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { FakeCa, FakeCaRefusal } from '../fakes/fake-ca.ts';
import { certificateOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';

const me = `unix:uid:${process.getuid?.()}`;
const web = { id: 'e1', spiffeId: 'spiffe://mesh.test/web', selectors: [me] };

let directory: string;
let socket: string;
let ca: FakeCa;
const closers: (() => Promise<void> | void)[] = [];
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'restart-'));
  socket = join(directory, 'run', 'agent.sock');
  mkdirSync(join(directory, 'run'));
  ca = new FakeCa();
  await ca.start();
  ca.setEntries([web]);
  closers.push(
    () => rmSync(directory, { recursive: true }),
    () => ca.stop(),
  );
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(changes: object = {}): Promise<RunningAgent> {
  const config = {
    trustDomain: 'mesh.test',
    ca: { address: ca.address, rootSha256: ca.rootSha256 },
    socket,
    join: { token: 'token' },
    ...changes,
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

const admin = () => agentAdminClient(join(directory, 'run', 'agent-admin.sock'));

async function served(): Promise<{ readonly serial: string; readonly version: string }> {
  const client = new SdsClient(socket);
  try {
    client.ask(['default']);
    return await eventually(() => {
      const { chain } = certificateOf(secretsOf(client.last).get('default'));
      return {
        serial: new X509Certificate(chain).serialNumber,
        version: client.last?.versionInfo ?? '',
      };
    });
  } finally {
    client.close();
  }
}

test('a restarted agent serves the same, by the same version, while its CA is away', async () => {
  const agent = await start();
  const before = await served();
  await agent.close();
  await ca.stop();
  const again = await start();
  expect(again.nodeId).toBe(agent.nodeId);
  expect(again.cache.current()).toMatchObject({
    kind: 'on',
    found: { kind: 'restored', svids: 1 },
  });
  expect(await served()).toEqual(before);
  const { survivesUntilMs = 0, state } = again.survival.current();
  expect(state).toBe('fine');
  expect(survivesUntilMs - Date.now()).toBeGreaterThan(3_500_000);
  // When it is back it is asked for nothing that is there.
  const { sign, attest } = ca.calls;
  await ca.start();
  ca.setEntries([web, { ...web, id: 'e2', spiffeId: 'spiffe://mesh.test/other' }]);
  await eventually(() => expect(ca.calls.sign).toBe(sign + 1));
  expect(ca.calls.attest).toBe(attest);
  expect((await served()).serial).toBe(before.serial);
});

test('without a cache the same agent has nothing to serve, and waits', async () => {
  const agent = await start({ cache: 'off' });
  expect(agent.cache.current()).toMatchObject({ kind: 'off' });
  await served();
  await agent.close();
  await ca.stop();
  // A new key is of no use with a token that another has used.
  ca.tokens.set('token', undefined);
  let isUp = false;
  const waiting = start({ cache: 'off' }).then(() => {
    isUp = true;
  });
  await eventually(() => expect(existsSync(socket)).toBe(true));
  const client = new SdsClient(socket);
  closers.push(() => client.close());
  client.ask(['default']);
  expect([isUp, client.responses]).toEqual([false, []]);
  await ca.start();
  await waiting;
  await eventually(() => expect(secretsOf(client.last).has('default')).toBe(true));
});

test('an entry that was taken back in the outage is withdrawn when the CA is back', async () => {
  const agent = await start();
  await served();
  await agent.close();
  await ca.stop();
  const again = await start();
  await served();
  ca.setEntries([]);
  await ca.start();
  await eventually(() => expect(again.survival.current().survivesUntilMs).toBeUndefined());
});

test('a node SVID that ended meanwhile is no hindrance: the node is attested again by the same key', async () => {
  ca.nodeTtlMs = 1500;
  const agent = await start();
  const before = await served();
  await agent.close();
  await ca.stop();
  await eventually(() => expect(agent.survival.current().nodeUntilMs).toBeLessThan(Date.now()));
  const again = await start();
  expect(await served()).toEqual(before);
  const { attest } = ca.calls;
  ca.nodeTtlMs = 3_600_000;
  await ca.start();
  await eventually(() => expect(ca.calls.attest).toBeGreaterThan(attest));
  await eventually(() => expect(again.survival.current().nodeUntilMs).toBeGreaterThan(Date.now()));
});

test('a certificate that ended while the agent was away is not served', async () => {
  ca.svidTtlMs = 1500;
  const agent = await start();
  await served();
  const end = agent.survival.current().survivesUntilMs ?? 0;
  await ca.stop();
  await agent.close();
  await eventually(() => expect(Date.now()).toBeGreaterThan(end + 1500));
  const again = await start();
  expect(again.cache.current()).toMatchObject({ found: { kind: 'restored', svids: 0 } });
  expect(again.survival.current().survivesUntilMs).toBeUndefined();
  ca.svidTtlMs = 3_600_000;
  await ca.start();
  await served();
});

test('what a node left that the CA will not have any more is taken away', async () => {
  ca.nodeTtlMs = 1500;
  const agent = await start();
  await served();
  const file = join(directory, 'run-agent', 'agent.sock.cache');
  await ca.stop();
  await agent.close();
  expect(readFileSync(file).length).toBeGreaterThan(1000);
  await eventually(() => expect(agent.survival.current().nodeUntilMs).toBeLessThan(Date.now()));
  ca.failing.set('attest', new FakeCaRefusal('permission_denied', 'node_banned', 'no'));
  await ca.start();
  const again = await start();
  expect(again.cache.current()).toMatchObject({ found: { kind: 'restored' } });
  expect(await again.refused).toMatchObject({ code: 'node_refused' });
  await eventually(() => expect(existsSync(file)).toBe(false));
});

test('a node that is only turned away serves on, keeps its cache, and is taken again', async () => {
  ca.nodeTtlMs = 1500;
  const agent = await start();
  const { serial } = await served();
  const file = join(directory, 'run-agent', 'agent.sock.cache');
  await ca.stop();
  await eventually(() => expect(agent.survival.current().nodeUntilMs).toBeLessThan(Date.now()));
  // What a CA says whose store was put back from before the node came.
  ca.failing.set('attest', new FakeCaRefusal('unauthenticated', 'token_unknown', 'no such token'));
  await ca.start();
  const { attest } = ca.calls;
  await eventually(() => expect(ca.calls.attest).toBeGreaterThan(attest + 1));
  const isOver = vi.fn();
  void agent.refused.then(isOver);
  expect((await served()).serial).toBe(serial);
  expect(await admin().status()).toMatchObject({
    ready: false,
    reasons: [expect.stringMatching(/^the node is not attested again: .*no such token/)],
    ca: { state: 'turned_away' },
  });
  expect(readFileSync(file).length).toBeGreaterThan(1000);
  expect(isOver).not.toHaveBeenCalled();
  ca.failing.clear();
  ca.nodeTtlMs = 3_600_000;
  await eventually(
    async () =>
      expect(await admin().status()).toMatchObject({ ready: true, ca: { state: 'connected' } }),
    20_000,
  );
  expect((await served()).serial).toBe(serial);
});

test('a node that is turned away ends with the last that it serves, and keeps its cache', async () => {
  ca.nodeTtlMs = 1500;
  ca.svidTtlMs = 5000;
  const agent = await start();
  await served();
  await ca.stop();
  ca.failing.set('attest', new FakeCaRefusal('unauthenticated', 'token_unknown', 'no such token'));
  for (const call of ['renew', 'sign'] as const) {
    ca.failing.set(call, new FakeCaRefusal('unavailable', 'away', 'not now'));
  }
  await ca.start();
  const endMs = agent.survival.current().survivesUntilMs ?? 0;
  const error = await agent.refused;
  expect(Date.now()).toBeGreaterThanOrEqual(endMs);
  expect(error).toMatchObject({ code: 'node_refused' });
  expect(existsSync(join(directory, 'run-agent', 'agent.sock.cache'))).toBe(true);
});

test('a pin of another CA makes the cache another’s; one of its present roots does not', async () => {
  const agent = await start();
  await served();
  const root = await ca.addRoot();
  await ca.activate(root);
  await eventually(() => expect(ca.trust(root.keyId)).toBeDefined());
  await agent.close();
  await ca.stop();
  const pinned = (der: Uint8Array) => ({
    ca: { address: ca.address, rootSha256: hash('sha256', der, 'hex') },
  });
  const same = await start(pinned(root.root.der));
  expect(same.cache.current()).toMatchObject({ found: { kind: 'restored' } });
  await same.close();
  const other = new FakeCa({ tokens: ['token'] });
  await other.start();
  closers.push(() => other.stop());
  const another = await start({ ca: { address: other.address, rootSha256: other.rootSha256 } });
  expect(another.cache.current()).toMatchObject({ found: { kind: 'ignored', code: 'cache_pin' } });
});

test('of two addresses one is dead: it joins, and comes back after a break, by the other', async () => {
  const [dead = 0] = await freePorts(1);
  const addresses = [`127.0.0.1:${dead}`, ca.address];
  for (const order of [addresses, addresses.toReversed()]) {
    ca.tokens.set('token', undefined);
    const agent = await start({
      cache: 'off',
      ca: { addresses: order, rootSha256: ca.rootSha256 },
    });
    await served();
    const { sync } = ca.calls;
    await ca.stop();
    await ca.start();
    await eventually(() => expect(ca.calls.sync).toBeGreaterThan(sync));
    await agent.close();
  }
});
