/** Who an identity is given to, with real processes that try to be another, and how it is taken away. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test as anyTest } from 'vitest';
import { type RunningAgent, parseAgentConfig, startAgent } from '../../agent/index.ts';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { FakeCa } from '../fakes/fake-ca.ts';
import { SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { WorkloadClient, type WorkloadStream } from '../fakes/workload-client.ts';
import { AttestedPeer, pythonPath as python } from './attested-peer.ts';
import { lacks } from '../programs.ts';

const test = anyTest.skipIf(lacks('python3'));
const isolated = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;
const testAsRoot = anyTest.skipIf(lacks('python3') || process.getuid?.() !== 0);

let directory: string;
let socket: string;
let tool: string;
let ca: FakeCa;
const closers: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'attested-'));
  socket = join(directory, 'agent.sock');
  tool = join(directory, 'tool');
  copyFileSync('/bin/sleep', tool);
  ca = new FakeCa({ tokens: ['token', 'token2'] });
  await ca.start();
  // Only the tool is `tool`, and only a Python is `python`.
  ca.setEntries([
    { id: 'tool', spiffeId: 'spiffe://mesh.test/tool', selectors: [`unix:path:${tool}`] },
    { id: 'python', spiffeId: 'spiffe://mesh.test/python', selectors: [`unix:path:${python}`] },
  ]);
  closers.push(
    () => rmSync(directory, { recursive: true }),
    () => ca.stop(),
  );
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const configText = (): string => `trustDomain: mesh.test
ca: { address: "${ca.address}", rootSha256: "${ca.rootSha256}" }
socket: ${socket}
join: { token: token }
`;

async function start(): Promise<RunningAgent> {
  const agent = await startAgent(parseAgentConfig(configText(), 'agent.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  });
  closers.push(() => agent.close());
  await eventually(() => expect(ca.syncRequests.at(-1)?.appliedRevision).toBe(ca.revision));
  return agent;
}

async function connect(wrapper: readonly string[] = []): Promise<AttestedPeer> {
  const { peer, greeting } = await AttestedPeer.start(socket, directory, wrapper);
  closers.push(() => peer.end());
  expect(greeting).toBe('ready');
  return peer;
}

function svidsOf(peer: AttestedPeer): WorkloadStream<{ svids: readonly { spiffeId: string }[] }> {
  const client = new WorkloadClient(peer.socket);
  closers.push(() => client.close());
  return client.svids();
}

const idsOf = (stream: ReturnType<typeof svidsOf>): unknown =>
  stream.messages.at(-1)?.svids.map(({ spiffeId }) => spiffeId);
const pythonId = ['spiffe://mesh.test/python'];

/** What runs under a pid now. */
async function becomes(pid: number, path: string): Promise<void> {
  await eventually(() =>
    expect(readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(path)).toBe(true),
  );
}

test('a process that becomes another program before it is attested gets neither identity', async () => {
  await start();
  const honest = svidsOf(await connect());
  await eventually(() => expect(idsOf(honest)).toEqual(pythonId));

  const peer = await connect();
  peer.become(tool, '60');
  await becomes(peer.pid, tool);
  const stolen = svidsOf(peer);
  await eventually(() =>
    expect(stolen.ended).toMatchObject({
      code: 14,
      details: expect.stringContaining('runs another program'),
    }),
  );
  expect(stolen.messages).toEqual([]);
});

test('the same program started again is another program', async () => {
  await start();
  const peer = await connect();
  const before = svidsOf(peer);
  await eventually(() => expect(idsOf(before)).toEqual(pythonId));
  peer.become(python, '-c', '__import__("time").sleep(60)');
  await eventually(() => expect(before.ended?.code).toBe(7));
});

test('a process that becomes another program while its streams live loses what it had', async () => {
  await start();
  const peer = await connect();
  const stream = svidsOf(peer);
  await eventually(() => expect(idsOf(stream)).toEqual(pythonId));
  peer.become(tool, '60');
  await eventually(() =>
    expect(stream.ended).toMatchObject({ code: 7, details: 'no identity issued' }),
  );
  expect(idsOf(stream)).toEqual(pythonId);
});

test('when a process ends, what speaks on its connection has no identity any more', async () => {
  await start();
  const peer = await connect();
  const client = new WorkloadClient(peer.socket);
  closers.push(() => client.close());
  const stream = client.svids();
  await eventually(() => expect(stream.messages.length).toBe(1));
  const endedMs = performance.now();
  await peer.exit();
  await eventually(() => expect(stream.ended?.code).toBe(7));
  expect(performance.now() - endedMs).toBeLessThan(2000);
  const again = client.svids();
  await eventually(() => expect(again.ended?.code).toBe(14));
});

test('over SDS nothing new comes after the process has ended', async () => {
  await start();
  const peer = await connect();
  const sds = new SdsClient(peer.socket);
  closers.push(() => sds.close());
  sds.ask(['default']);
  await eventually(() => expect(secretsOf(sds.last).has('default')).toBe(true));
  sds.acknowledge(['default']);
  await peer.exit();
  const count = sds.responses.length;
  await ca.activate(await ca.addRoot());
  const witness = svidsOf(await connect());
  await eventually(() => expect(idsOf(witness)).toEqual(pythonId));
  expect(
    sds.responses.slice(count).filter((response) => secretsOf(response).has('default')),
  ).toEqual([]);
});

testAsRoot('a pid that was given to another process gives it nothing', async (context) => {
  await start();
  const honest = svidsOf(await connect());
  await eventually(() => expect(idsOf(honest)).toEqual(pythonId));

  const peer = await connect();
  const { pid } = peer;
  await peer.exit();
  const heir = await startAsPid(pid);
  if (heir === undefined) {
    context.skip('SKIPPED: the pid could not be had again on this machine');
    return;
  }
  closers.push(() => void heir.kill('SIGKILL'));
  await becomes(pid, tool);
  const stolen = svidsOf(peer);
  await eventually(() =>
    expect(stolen.ended).toMatchObject({ code: 14, details: expect.stringContaining('ended') }),
  );
  expect(stolen.messages).toEqual([]);
});

/** The tool, running under this very pid. */
async function startAsPid(pid: number): Promise<ChildProcess | undefined> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = spawn(tool, ['60'], { stdio: 'ignore' });
    if (child.pid === pid) return child;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
  return undefined;
}

testAsRoot('a process in a pid namespace below ours is known by its pid here', async () => {
  await start();
  const stream = svidsOf(await connect(isolated));
  await eventually(() => expect(idsOf(stream)).toEqual(pythonId));
});

testAsRoot('an agent in a pid namespace speaks only with those it can see', async () => {
  const configFile = join(directory, 'agent.yaml');
  writeFileSync(configFile, configText());
  const [unshare, ...args] = [...isolated, process.execPath, signetScript, 'agent', 'run'];
  const agent = spawn(unshare, [...args, '-c', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [agent.stdout, agent.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
  }
  const refusals = (): number => log.split('peer_invisible').length - 1;
  closers.push(async () => {
    const gone = once(agent, 'exit');
    agent.kill('SIGKILL');
    await gone;
  });
  await eventually(() => expect(ca.syncRequests.at(-1)?.appliedRevision).toBe(ca.revision));
  const [inside] = readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8').split(' ');

  const seen = svidsOf(await connect(['nsenter', `--target=${inside}`, '--pid', '--mount']));
  await eventually(() => expect(idsOf(seen)).toEqual(pythonId));
  // From outside, and from a container beside: both are pid 0 to the agent.
  expect(refusals()).toBe(0);
  for (const [at, place] of [[], isolated].entries()) {
    const { peer, greeting } = await AttestedPeer.start(socket, directory, place);
    closers.push(() => peer.end());
    expect(greeting).not.toBe('ready');
    // Not for any other reason.
    await eventually(() => expect(refusals()).toBeGreaterThan(at));
  }
});
