import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger, systemClock, systemRandom } from '../core/index.ts';
import { FakeCa } from '../test/fakes/fake-ca.ts';
import { certificateOf, rootsOf, SdsClient, secretsOf } from '../test/fakes/sds-client.ts';
import { type RunningAgent, startAgent } from './agent.ts';
import { parseAgentConfig } from './config.ts';

const me = `unix:uid:${process.getuid?.()}`;
const web = { id: 'e1', spiffeId: 'spiffe://mesh.test/web', selectors: [me] };

let directory: string;
let socket: string;
let ca: FakeCa;
const agents: RunningAgent[] = [];
const clients: SdsClient[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'agent-'));
  socket = join(directory, 'agent.sock');
  ca = new FakeCa();
  await ca.start();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const agent of agents.splice(0)) await agent.close();
  await ca.stop();
  rmSync(directory, { recursive: true });
});

async function start(
  options: { token?: string; signal?: AbortSignal } = {},
): Promise<RunningAgent> {
  const config = parseAgentConfig(
    `trustDomain: mesh.test
ca: { address: "${ca.address}", rootSha256: ${ca.rootSha256} }
socket: ${socket}
join: { token: ${options.token ?? 'token'} }
`,
    'agent.yaml',
  );
  const agent = await startAgent(config, {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  agents.push(agent);
  return agent;
}

function subscribe(names: readonly string[]): SdsClient {
  const client = new SdsClient(socket);
  clients.push(client);
  client.ask(names);
  return client;
}

test('a process is known by its user and gets its certificate and roots by SDS', async () => {
  ca.setEntries([web]);
  const agent = await start();
  expect(agent.nodeId).toBe('spiffe://mesh.test/signet/node/join_token/n1');
  const certificates = subscribe(['default']);
  const roots = subscribe(['ALL']);
  await vi.waitFor(() => expect([certificates.last, roots.last]).not.toContain(undefined));

  const { chain, key } = certificateOf(secretsOf(certificates.last).get('default'));
  const leaf = new X509Certificate(chain);
  expect(leaf.subjectAltName).toBe('URI:spiffe://mesh.test/web');
  expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true);
  const all = rootsOf(secretsOf(roots.last).get('ALL'));
  expect([...all.keys()]).toEqual(['mesh.test']);
});

test('a process without an entry sees nothing, until it has one', async () => {
  ca.setEntries([{ ...web, selectors: ['unix:uid:4294967294'] }]);
  await start();
  const client = subscribe(['ROOTCA', 'default', 'ALL']);
  const sync = ca.syncRequests.length;
  ca.setEntries([{ ...web, id: 'e2', selectors: ['unix:uid:4294967294'] }]);
  await vi.waitFor(() => expect(ca.syncRequests.length).toBeGreaterThan(sync));
  expect(client.responses).toEqual([]);

  ca.setEntries([web]);
  await vi.waitFor(() =>
    expect([...secretsOf(client.last).keys()]).toEqual(['ROOTCA', 'default', 'ALL']),
  );
});
