/** `signet explain` against a real CA: every reason for which a process has an identity, or none, or a short one. */

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import { type AgentAdminClient, agentAdminClient } from '../../api/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { SdsClient } from '../fakes/sds-client.ts';
import { CaFixture } from './ca-fixture.ts';
import { runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

const uid = process.getuid?.() ?? 0;
const sleepPath = realpathSync('/bin/sleep');
const pathSelector = `unix:path:${sleepPath}`;
const id = 'spiffe://mesh.test/web';

let mesh: CaFixture;
let directory: string;
let agent: RunningAgent;
let admin: AgentAdminClient;
let workload: ChildProcess;
const closers: (() => Promise<unknown> | void)[] = [];

beforeEach(async () => {
  mesh = await CaFixture.begin();
  directory = mkdtempSync(join(tmpdir(), 'explain-'));
  workload = spawn(sleepPath, ['600']);
  closers.push(
    () => mesh.end(),
    () => rmSync(directory, { recursive: true }),
    () => void workload.kill('SIGKILL'),
  );
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function startNode(): Promise<void> {
  const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
  const bundle = join(directory, 'bundle.json');
  writeFileSync(bundle, await mesh.admin.bundle());
  const config = JSON.stringify({
    trustDomain: 'mesh.test',
    ca: { address: `127.0.0.1:${mesh.ca.agentPort}`, bundle },
    socket: join(directory, 'agent.sock'),
    join: { token },
    cache: 'off',
  });
  agent = await startAgent(parseAgentConfig(config, 'agent.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  });
  closers.push(() => agent.close());
  admin = agentAdminClient(join(directory, 'agent-admin.sock'));
}

async function register(more: object = {}): Promise<string> {
  const draft = { spiffeId: id, parentId: agent.nodeId, selectors: [pathSelector], ...more };
  return (await mesh.admin.createEntry(draft)).id;
}

const explain = () => admin.explain(workload.pid ?? 0);

async function explained(pid: number | string | undefined = workload.pid) {
  return runSignet(['explain', '--pid', String(pid), '--socket', socketPath()]);
}
const socketPath = (): string => join(directory, 'agent-admin.sock');

test('a process that an entry fits, found by whom, and for how long', async () => {
  await startNode();
  expect(await explain()).toMatchObject({
    outcome: 'no_identity',
    conclusions: ['no identity: this node has no registration entries'],
  });
  const entryId = await register({ x509SvidTtlSeconds: 20 });
  await eventually(async () => expect((await explain()).outcome).toBe('identity'));
  const answer = await explain();
  expect(answer).toMatchObject({
    pid: workload.pid,
    uid,
    executable: sleepPath,
    attestors: [
      { name: 'unix', selectors: expect.arrayContaining([`unix:uid:${uid}`, pathSelector]) },
    ],
    notSought: ['unix:sha256:'],
    ca: { state: 'connected' },
    matched: [
      {
        entryId,
        spiffeId: id,
        isDefault: true,
        isDerived: false,
        verdict: 'issued',
        life: { askedMs: 20_000, cappedBy: 'none' },
      },
    ],
    nearest: [],
  });
  const issuedMs = answer.matched[0]?.life?.issuedMs ?? 0;
  expect(issuedMs).toBeGreaterThan(18_000);
  expect(issuedMs).toBeLessThanOrEqual(20_000);
  const { code, stdout } = await explained();
  expect(code).toBe(0);
  expect(stdout).toContain(`its default identity is ${id}, good until `);
  expect(stdout).toMatch(/unix +\d+ ms +unix:uid:/);
  expect(stdout).toContain('20s asked');
});

test('the nearest entries, what each lacks, and what it has in its place', async () => {
  await startNode();
  await register({ selectors: ['unix:uid:4242', 'unix:path:/usr/bin/other'] });
  await register({ selectors: ['k8s:ns:shop', 'k8s:sa:web'] });
  const nearest = await register({ selectors: [`unix:uid:${uid}`, 'unix:path:/usr/bin/other'] });
  await register({ selectors: ['docker:label:a:b', 'docker:label:c:d', 'unix:uid:4242'] });
  await eventually(async () => expect((await explain()).entryCount).toBe(4));
  const answer = await explain();
  expect(answer).toMatchObject({ outcome: 'no_identity', matched: [] });
  expect(answer.nearest).toHaveLength(3);
  expect(answer.nearest[0]).toEqual({
    entryId: nearest,
    spiffeId: id,
    present: [`unix:uid:${uid}`],
    lacking: ['unix:path:/usr/bin/other'],
    because: [`it has ${pathSelector} and not unix:path:/usr/bin/other`],
  });
  expect(answer.nearest.flatMap(({ because }) => because)).toContain(
    'no k8s attestor runs on this agent',
  );
  expect(answer.conclusions[0]).toBe(
    `no identity: none of this node's 4 entries fits; the nearest, ${nearest} for ${id}, asks for unix:path:/usr/bin/other`,
  );
  const { stdout } = await explained();
  expect(stdout).toMatch(/NEAR MISS +SPIFFE ID +LACKS/);
});

test('a rule that fits, and one that lacking a fact', async () => {
  await startNode();
  const template = 'spiffe://{td}/user/{unix.uid}';
  const trust = { unix: 'agent' } as const;
  const fits = await mesh.admin.createRule({ template, selectors: [pathSelector], trust });
  const lacking = await mesh.admin.createRule({
    template: 'spiffe://{td}/other/{unix.uid}',
    selectors: ['unix:user:nobody-such'],
    trust,
  });
  await eventually(async () => expect((await explain()).rules).toHaveLength(2));
  const { rules, matched } = await explain();
  expect(rules[0]).toMatchObject({
    template: 'spiffe://mesh.test/user/{unix:uid}',
    spiffeId: `spiffe://mesh.test/user/${uid}`,
    lacking: [],
  });
  expect(rules[0]?.ruleId).toContain(fits.id);
  expect(rules[1]?.ruleId).toContain(lacking.id);
  expect(rules[1]).toMatchObject({ lacking: ['unix:user:nobody-such'], faults: [] });
  // Nobody with these facts has connected, and nothing is asked of the CA for an operator's question.
  expect(matched).toMatchObject([{ isDerived: true, verdict: 'unasked' }]);
});

test('no such process is the asker’s fault, and a process that is there is not', async () => {
  await startNode();
  expect(await explained(4_194_303)).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('process 4194303 cannot be explained: there is no process'),
  });
  expect(await explained('0')).toMatchObject({ code: 2, stdout: '' });
  expect(await explained('self')).toMatchObject({ code: 2, stdout: '' });
  expect((await explained()).code).toBe(0);
  workload.kill('SIGKILL');
  await eventually(async () => expect((await explained()).code).toBe(2));
});

test('a refusal of the CA’s policy, with its rule’s reason', async () => {
  const policy = join(directory, 'policy.yaml');
  const when = 'entry.path == "/web"';
  const rules = [{ name: 'no-web', effect: 'deny', when, reason: 'the web is closed' }];
  writeFileSync(policy, JSON.stringify({ rules }));
  await mesh.restart({ policy });
  await startNode();
  await register();
  const allowed = await register({ spiffeId: 'spiffe://mesh.test/shop' });
  await eventually(async () => {
    const { matched } = await explain();
    expect(matched.map(({ verdict }) => verdict).toSorted()).toEqual(['issued', 'refused']);
  });
  const { matched, conclusions } = await explain();
  const refused = matched.find(({ verdict }) => verdict === 'refused');
  expect(refused).toMatchObject({
    spiffeId: id,
    refusal: { code: 'policy_denied', reason: expect.stringContaining('the web is closed') },
  });
  expect(refused?.svid).toBeUndefined();
  expect(matched.find(({ entryId }) => entryId === allowed)?.verdict).toBe('issued');
  expect(conclusions.join('\n')).toMatch(
    /no certificate for spiffe:\/\/mesh.test\/web: the CA refused at .*the web is closed/,
  );
  const { stdout } = await explained();
  expect(stdout).toContain('refused: policy_denied: ');
  expect((await admin.status()).missing).toMatchObject([{ refusal: { code: 'policy_denied' } }]);
});

test('a certificate cut short by its entry’s end', async () => {
  await startNode();
  const expiresAt = new Date(Date.now() + 15_000).toISOString();
  await register({ x509SvidTtlSeconds: 30, expiresAt });
  await eventually(async () => expect((await explain()).outcome).toBe('identity'));
  const { matched, conclusions } = await explain();
  expect(matched[0]?.life).toMatchObject({ askedMs: 30_000, cappedBy: 'entry' });
  expect(matched[0]?.life?.issuedMs).toBeLessThan(15_001);
  expect(conclusions[1]).toMatch(/ got 1\ds and not the 30s asked for: its entry ends then$/);
});

test('a certificate cut short by the end of its issuing authority', async () => {
  await startNode();
  await register({ x509SvidTtlSeconds: 30 });
  await eventually(async () => expect((await explain()).matched[0]?.life?.cappedBy).toBe('none'));
  const listen = `127.0.0.1:${mesh.ca.agentPort}`;
  const lifetimes = { root: '1h', issuing: '20s', x509Svid: '4s', nodeSvid: '8s', backdate: '5s' };
  await mesh.restart({ lifetimes, listen });
  // The next issuing authority is made with the shorter life, which this entry's does not fit under.
  const { id: next } = await mesh.admin.prepareAuthority();
  // An agent that met its CA away tries again after seconds; before it has the next root it would be locked out by it.
  await eventually(() => mesh.admin.activateAuthority(next, false), 60_000);
  await eventually(
    async () => expect((await explain()).matched[0]?.life?.cappedBy).toBe('issuer'),
    60_000,
  );
  const { matched, conclusions } = await explain();
  const life = matched[0]?.life;
  expect(life?.askedMs).toBe(30_000);
  expect(life?.issuerNotAfter).toBe(matched[0]?.svid?.notAfter);
  expect(conclusions[1]).toBe(
    `${id} got ${Math.round((life?.issuedMs ?? 0) / 1000)}s and not the 30s asked for: its issuing authority ends at ${life?.issuerNotAfter}`,
  );
  expect((await explained()).stdout).toContain('cut by its issuer');
});

test('what sidecars refuse reaches the CA, with their words, and goes when they take it', async () => {
  await startNode();
  await register({ selectors: [`unix:uid:${uid}`] });
  await eventually(async () => expect((await admin.status()).svidCount).toBe(1));
  const client = new SdsClient(join(directory, 'agent.sock'));
  closers.push(() => client.close());
  client.ask(['ROOTCA']);
  await eventually(() => expect(client.last).toBeDefined());
  client.reject(['ROOTCA'], 'not these');
  const root = (await mesh.root('active')).id;
  await eventually(async () => {
    const { secrets } = await mesh.admin.status();
    expect(secrets.refusals).toMatchObject([
      { nodeId: agent.nodeId, spiffeId: id, name: 'ROOTCA', error: 'not these' },
    ]);
    expect(secrets.authorities).toMatchObject([
      { authorityKeyId: root, versions: 1, acknowledged: 0, refused: 1, waiting: 0, nodes: 1 },
    ]);
  });
  const shown = await runSignet(['status', '--socket', mesh.ca.adminSocket]);
  expect(shown.stdout).toMatch(/spiffe:\/\/mesh.test\/web +ROOTCA .*not these/);
  expect(shown.stdout).toMatch(/spiffe:\/\/mesh.test\/web +ROOTCA +refused +\ds ago +1 /);
  client.ask(['ROOTCA'], {
    responseNonce: client.last?.nonce ?? '',
    versionInfo: client.last?.versionInfo ?? '',
  });
  await eventually(async () => {
    const { secrets } = await mesh.admin.status();
    expect(secrets.refusals).toEqual([]);
    expect(secrets.authorities).toMatchObject([{ acknowledged: 1, refused: 0 }]);
    expect(secrets.holdings).toMatchObject([
      { nodeId: agent.nodeId, spiffeId: id, name: 'ROOTCA', state: 'acknowledged', clients: 1 },
    ]);
  });
  const held = async (query: object) => (await mesh.admin.status(query)).secrets.holdings.length;
  expect(await held({ node: agent.nodeId, spiffeId: id })).toBe(1);
  expect(await held({ node: `${agent.nodeId}-other` })).toBe(0);
  expect(await held({ spiffeId: `${id}-other` })).toBe(0);
  client.close();
  await eventually(async () => expect((await mesh.admin.status()).secrets.authorities).toEqual([]));
});

test.skipIf(uid !== 0 || lacks('curl'))(
  'only root and the agent’s user, of its own pid namespace',
  async () => {
    await startNode();
    chmodSync(directory, 0o777);
    // As if an operator had opened it to everybody: the mode is not the only lock.
    chmodSync(socketPath(), 0o777);
    const ask = (wrapper: readonly string[]): Promise<string> =>
      new Promise((resolve) => {
        const curl = ['curl', '-s', '--unix-socket', socketPath(), 'http://localhost/livez'];
        const [command = 'curl', ...args] = [...wrapper, ...curl];
        const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
        let text = '';
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        child.on('close', () => resolve(text));
      });
    expect(await ask([])).toContain('{"status":"ok"}');
    const other = await ask(['setpriv', '--reuid', '65534', '--clear-groups']);
    expect(other).toContain('"status":403');
    expect(other).toContain('user 65534 may not');
    const contained = await ask(['unshare', '--pid', '--fork', '--kill-child']);
    expect(contained).toContain('"status":403');
    expect(contained).toContain('pid namespace');
  },
);
