/** What an operator asks of an agent: its status, its SDS clients, why a process has an identity or none. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import { agentAdminClient, type SdsEventView } from '../../api/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { FakeCa } from '../fakes/fake-ca.ts';
import { certificateOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { runSignet } from './signet-command.ts';

const uid = process.getuid?.() ?? 0;
let directory: string;
let socket: string;
let adminSocket: string;
let ca: FakeCa;
const closers: (() => Promise<unknown> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'operator-'));
  socket = join(directory, 'agent.sock');
  adminSocket = join(directory, 'agent-admin.sock');
  ca = new FakeCa();
  await ca.start();
  ca.setEntries([entry]);
  closers.push(
    () => rmSync(directory, { recursive: true }),
    () => ca.stop(),
  );
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const entry = {
  id: 'web',
  spiffeId: 'spiffe://mesh.test/web',
  selectors: [`unix:uid:${uid}`],
  x509SvidTtlMs: 600_000n,
};
const admin = () => agentAdminClient(adminSocket);

async function start(extra = ''): Promise<RunningAgent> {
  const text = `trustDomain: mesh.test
ca: { address: "${ca.address}", rootSha256: "${ca.rootSha256}" }
socket: ${socket}
join: { token: token }
${extra}`;
  const stop = new AbortController();
  closers.push(() => stop.abort());
  const agent = await startAgent(parseAgentConfig(text, 'agent.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
    version: 'test',
    stopped: stop.signal,
  });
  closers.push(() => agent.close());
  return agent;
}

async function ready(): Promise<void> {
  await eventually(async () => expect((await admin().status()).ready).toBe(true));
  await eventually(async () => expect((await admin().status()).missing).toEqual([]));
}

function sdsClient(): SdsClient {
  const client = new SdsClient(socket);
  closers.push(() => client.close());
  return client;
}

/** One HTTP exchange, made by hand. */
function raw(
  path: string,
  options: { method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; body: string }> {
  const { method = 'GET', body, headers = {} } = options;
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: adminSocket, path, method, headers, agent: false });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.end(body);
  });
}

test('the status names the node, the link, what is held and until when', async () => {
  const agent = await start();
  expect(agent.adminSocket).toBe(adminSocket);
  await ready();
  const status = await admin().status();
  expect(status).toMatchObject({
    trustDomain: 'mesh.test',
    version: 'test',
    socket,
    ca: { state: 'connected', address: ca.address },
    node: { spiffeId: agent.nodeId },
    revision: Number(ca.revision),
    reasons: [],
    entryCount: 1,
    svids: [{ entryId: 'web', spiffeId: 'spiffe://mesh.test/web', isDerived: false }],
    missing: [],
    attestors: [{ name: 'unix', failing: false }],
  });
  expect(status.survivesUntil).toBe(status.svids[0]?.notAfter);
  expect(await raw('/livez')).toMatchObject({ status: 200 });
  expect(await raw('/readyz')).toEqual({ status: 200, body: '{"status":"ok","reasons":[]}\n' });
});

test('while it joins it says that it lives, is not ready, and why', async () => {
  await ca.stop();
  const starting = start();
  // It is given up at the end of the test.
  starting.catch(() => {});
  await eventually(async () => {
    const status = await admin().status();
    expect(status.ca.state).toBe('joining');
    expect(status.reasons.join()).toMatch(/the node is not attested yet: .+/);
  });
  expect((await raw('/livez')).status).toBe(200);
  expect((await raw('/readyz')).status).toBe(503);
  await ca.start();
  await starting;
  await ready();
});

test('readiness turns before the first certificate ends, and traffic is served until then', async () => {
  ca.setEntries([{ ...entry, x509SvidTtlMs: 6000n }]);
  await start();
  await ready();
  await ca.stop();
  await eventually(async () => expect((await admin().status()).ca.state).toBe('away'));
  await eventually(async () => {
    const status = await admin().status();
    expect(status.ready).toBe(false);
    expect(status.reasons[0]).toMatch(/^the certificate of spiffe:\/\/mesh.test\/web ends at /);
    // Still there: the end has not come.
    expect(status.svids).toHaveLength(1);
    expect(Date.parse(status.svids[0]?.notAfter ?? '')).toBeGreaterThan(Date.now());
  });
  await ca.start();
  await ready();
});

/** What the commands print, run as a person would. */
async function signet(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runSignet([...args, '--socket', adminSocket]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

test('which sidecar holds what, and who refuses, with its own words', async () => {
  await start();
  await ready();
  const good = sdsClient();
  const bad = sdsClient();
  good.ask(['default', 'ROOTCA', 'nobody-knows']);
  bad.ask(['default']);
  await eventually(() => expect(good.last).toBeDefined());
  await eventually(() => expect(bad.last).toBeDefined());
  good.acknowledge(['default', 'ROOTCA', 'nobody-knows']);
  bad.reject(['default'], 'no such\ncipher \u001b[31m');
  await eventually(async () =>
    expect((await admin().status()).sds).toEqual({
      streams: 2,
      acknowledged: 2,
      waiting: 0,
      refused: 1,
    }),
  );
  const { clients, total } = await admin().sdsClients();
  expect(total).toBe(2);
  const of = (state: string) =>
    clients.find((one) => one.secrets.some((each) => each.state === state));
  const who = {
    pid: process.pid,
    uid,
    executable: process.execPath,
    spiffeIds: ['spiffe://mesh.test/web'],
  };
  expect(of('acknowledged')).toMatchObject({ ...who, waiting: ['nobody-knows'] });
  expect(of('refused')).toMatchObject({
    ...who,
    secrets: [{ name: 'default', state: 'refused', error: 'no such\ncipher \u001b[31m' }],
  });
  const status = await admin().status();
  expect(of('acknowledged')?.offered).toMatchObject({
    svids: [
      { isDefault: true, serial: status.svids[0]?.serial, notAfter: status.svids[0]?.notAfter },
    ],
    bundles: [{ trustDomain: 'mesh.test', rootKeyIds: [ca.active?.keyId] }],
  });
  const dump = await signet('sds', 'dump');
  expect(dump).toMatch(/default +refused +.*no such\\u\{a\}cipher \\u\{1b\}\[31m/);
  expect(dump).toMatch(/ROOTCA +acknowledged/);
  expect(dump).toMatch(/nobody-knows +not ready/);
  expect(dump).toContain(status.svids[0]?.serial);
  // What a client writes does not reach the operator's terminal as it is.
  expect(dump).not.toContain('\u001b');
});

test('a secret is sent again on an operator’s word, with the same version, and nothing else is', async () => {
  await start();
  await ready();
  const client = sdsClient();
  client.ask(['default', 'ROOTCA']);
  await eventually(() => expect(client.last).toBeDefined());
  client.acknowledge(['default', 'ROOTCA']);
  const [first] = client.responses;
  await eventually(async () => expect((await admin().status()).sds.acknowledged).toBe(2));
  expect(await signet('sds', 'resend', 'nobody')).toBe('sent to 0 streams\n');
  expect(client.responses).toHaveLength(1);
  expect(await signet('sds', 'resend', 'ROOTCA')).toBe('sent to 1 streams\n');
  await eventually(() => expect(client.responses).toHaveLength(2));
  expect(client.last?.versionInfo).toBe(first?.versionInfo);
  expect(client.last?.nonce).not.toBe(first?.nonce);
});

test('each change of a client is a line, until the reader goes', async () => {
  await start();
  await ready();
  const early = sdsClient();
  early.ask(['ROOTCA']);
  await eventually(() => expect(early.last).toBeDefined());
  const events: SdsEventView[] = [];
  const reading = new AbortController();
  const watched = admin().watchSds((event) => events.push(event), reading.signal);
  await eventually(() => expect(events.map(({ kind }) => kind)).toEqual(['opened']));
  early.reject(['ROOTCA'], 'too old');
  await eventually(() =>
    expect(events.at(-1)).toMatchObject({
      kind: 'changed',
      client: { secrets: [{ name: 'ROOTCA', state: 'refused', error: 'too old' }] },
    }),
  );
  early.close();
  await eventually(() => expect(events.at(-1)?.kind).toBe('closed'));
  reading.abort();
  await watched;
  // Those who look on are bounded, and whoever goes makes room.
  const many = Array.from({ length: 9 }, () => new AbortController());
  closers.push(() => many.forEach((one) => one.abort()));
  const outcomes = many.map((one) => admin().watchSds(() => {}, one.signal));
  await expect(Promise.race(outcomes)).rejects.toMatchObject({ code: 'watchers_many' });
});

test('sds watch ends on Ctrl-C, with what it saw', async () => {
  await start();
  await ready();
  const client = sdsClient();
  client.ask(['ROOTCA']);
  await eventually(() => expect(client.last).toBeDefined());
  const args = [signetScript, 'sds', 'watch', '-o', 'json', '--socket', adminSocket];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  closers.push(() => void child.kill('SIGKILL'));
  let seen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
  await eventually(() => expect(seen).toContain('\n'));
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(JSON.parse(seen)).toMatchObject({ kind: 'opened', client: { pid: process.pid } });
});

test('no answer, no metric and no command holds a key', async () => {
  await start();
  await ready();
  const client = sdsClient();
  client.ask(['default', 'ROOTCA']);
  await eventually(() => expect(client.last).toBeDefined());
  const { key } = certificateOf(secretsOf(client.last).get('default'));
  const pem = key.replaceAll(/-----[^-]+-----|\s/g, '');
  const der = Buffer.from(pem, 'base64');
  // RFC 5915: the scalar of a P-256 key, as the client was given it.
  const scalar = der.subarray(36, 68);
  expect(pem.length).toBeGreaterThan(100);
  const answers = await Promise.all([
    ...['/v1/status', '/v1/sds/clients', '/metrics', '/livez', '/readyz'].map((path) => raw(path)),
    raw(`/v1/explain?pid=${process.pid}`),
    raw('/v1/sds/resend', { method: 'POST', body: '{}' }),
    raw('/v1/none'),
  ]);
  const events: SdsEventView[] = [];
  const reading = new AbortController();
  const watched = admin().watchSds((event) => events.push(event), reading.signal);
  await eventually(() => expect(events.length).toBeGreaterThan(0));
  reading.abort();
  await watched;
  const texts = [
    JSON.stringify(events),
    ...answers.map(({ body }) => body),
    await signet('sds', 'dump', '-o', 'json'),
    await signet('agent', 'status'),
    await signet('explain', '--pid', String(process.pid)),
  ];
  const shapes = [
    pem.slice(0, 64),
    pem.slice(-64),
    scalar.toString('hex'),
    scalar.toString('base64').slice(0, 40),
    scalar.toString('base64url').slice(0, 40),
    'PRIVATE KEY',
  ];
  for (const text of texts) {
    for (const shape of shapes) expect(text.toLowerCase()).not.toContain(shape.toLowerCase());
  }
  // The search finds what is there to be found.
  expect(key.replaceAll('\n', '')).toContain(shapes[0]);
  expect(der.toString('hex')).toContain(shapes[2]);
});

test('the metrics served are those that docs/agent/metrics.md explains', async () => {
  await start();
  await ready();
  await raw('/v1/none');
  const text = await admin().metrics();
  const served = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    .map(([, name = '', type = '']) => `${name} ${type}`)
    .filter((name) => !name.startsWith('process_'));
  const page = readFileSync(join(import.meta.dirname, '../../docs/agent/metrics.md'), 'utf8');
  const explained = [...page.matchAll(/^\| `(signet_\w+)` \| (\w+) \|/gm)].map(
    ([, name = '', type = '']) => `${name} ${type}`,
  );
  expect(served.toSorted()).toEqual(explained.toSorted());
  expect(text).toMatch(/^signet_agent_ca_connected 1$/m);
  expect(text).toMatch(/^signet_agent_ready 1$/m);
  expect(text).toMatch(/^signet_agent_svids 1$/m);
  expect(text).toMatch(/^signet_agent_attestor_failing\{attestor="unix"\} 0$/m);
  expect(text).toMatch(
    /^signet_agent_admin_calls_total\{operation="none",outcome="route_unknown"\} 1$/m,
  );
  expect(text).toMatch(/^process_resident_memory_bytes \d/m);
});

const refusals = [
  ['another method', '/v1/status', { method: 'DELETE' }, 404, 'route_unknown'],
  ['a parameter that nobody knows', '/v1/status?x=1', {}, 400, 'request_invalid'],
  ['a parameter twice', '/v1/explain?pid=1&pid=2', {}, 400, 'request_invalid'],
  ['no pid', '/v1/explain', {}, 400, 'request_invalid'],
  ['a pid that is none', '/v1/explain?pid=-1', {}, 400, 'request_invalid'],
  ['a pid beyond all', '/v1/explain?pid=4194303000', {}, 400, 'request_invalid'],
  [
    'a body that is no JSON',
    '/v1/sds/resend',
    { method: 'POST', body: '{' },
    400,
    'request_invalid',
  ],
  [
    'a body of another kind',
    '/v1/sds/resend',
    { method: 'POST', body: '[]' },
    400,
    'request_invalid',
  ],
  [
    'a key that nobody knows',
    '/v1/sds/resend',
    { method: 'POST', body: '{"a":1}' },
    400,
    'request_invalid',
  ],
  [
    'a body over its bound',
    '/v1/sds/resend',
    { method: 'POST', body: `{"name":"${'x'.repeat(20_000)}"}` },
    400,
    'request_large',
  ],
] as const;

test('what is not understood is refused with its reason, and the next call is served', async () => {
  await start();
  for (const [what, path, options, status, code] of refusals) {
    const answer = await raw(path, options);
    const problem = { what, status: answer.status, ...JSON.parse(answer.body) };
    expect(problem).toMatchObject({
      what,
      status,
      code,
      requestId: expect.stringMatching(/^[0-9a-f]{24}$/),
    });
    expect((await raw('/v1/sds/resend', { method: 'POST', body: '{}' })).status).toBe(200);
  }
});

test('bytes that are no HTTP, heads without an end and peers that say nothing harm nobody', async () => {
  await start();
  const answers = await Promise.all(
    ['nonsense\r\n\r\n', `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`].map(
      (bytes) =>
        new Promise<string>((resolve, reject) => {
          let text = '';
          const peer = connect(adminSocket, () => peer.write(bytes));
          peer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          peer.on('error', reject).on('close', () => resolve(text));
        }),
    ),
  );
  expect(answers[0]).toMatch(/^HTTP\/1.1 400 /);
  expect(answers[1]).toMatch(/^HTTP\/1.1 431 /);
  const silent = connect(adminSocket);
  closers.push(() => void silent.destroy());
  expect((await raw('/livez')).status).toBe(200);
});

test('without an admin socket the agent serves all the same', async () => {
  const agent = await start('adminSocket: off');
  expect(agent.adminSocket).toBeUndefined();
  expect(existsSync(adminSocket)).toBe(false);
  const client = sdsClient();
  client.ask(['ROOTCA']);
  await eventually(() => expect(client.last).toBeDefined());
  expect(await runSignet(['agent', 'status', '--socket', adminSocket])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no agent answers on'),
  });
});

test('the socket is the agent’s user’s alone, and goes with the agent', async () => {
  const agent = await start();
  expect(statSync(adminSocket).mode & 0o777).toBe(0o600);
  await agent.close();
  expect(existsSync(adminSocket)).toBe(false);
});
