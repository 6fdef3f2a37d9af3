/** Pods and containers: real processes in real cgroups, and servers that speak the kubelet's and Docker's API. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RunningAgent, parseAgentConfig, startAgent } from '../../agent/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { FakeCa } from '../fakes/fake-ca.ts';
import { SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import { WorkloadClient } from '../fakes/workload-client.ts';
import { AttestedPeer } from './attested-peer.ts';
import { cgroupOf, PodServer, testPod } from './pod-server.ts';
import { TestCgroups } from './test-cgroups.ts';
import { lacks } from '../programs.ts';

const cgroups = TestCgroups.open();
const webId = 'spiffe://mesh.test/web';

let directory: string;
let socket: string;
let tokenFile: string;
let caFile: string;
let ca: FakeCa;
let server: PodServer;
const closers: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'containers-'));
  socket = join(directory, 'agent.sock');
  tokenFile = join(directory, 'token');
  caFile = join(directory, 'ca.pem');
  ca = new FakeCa();
  await ca.start();
  const pki = await makeTestPki({ nowMs: Date.now() });
  server = await PodServer.start(pki);
  writeFileSync(caFile, pki.root.pem);
  writeFileSync(tokenFile, 'first\n');
  closers.push(
    () => rmSync(directory, { recursive: true }),
    () => ca.stop(),
    () => cgroups?.removeAll(),
    () => server.close(),
  );
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const k8s = (where: string, more = `caFile: ${caFile}, serverName: node.test`): string =>
  `{ k8s: { ${where}: "${server.url}", tokenFile: ${tokenFile}, ${more}, nodeName: n1, podWait: 5s } }`;

async function start(workloadAttestors: string, selectors: readonly string[]) {
  ca.setEntries([{ id: 'web', spiffeId: webId, selectors: [...selectors] }]);
  const text = `trustDomain: mesh.test
ca: { address: "${ca.address}", rootSha256: "${ca.rootSha256}" }
socket: ${socket}
join: { token: token }
workloadAttestors: ${workloadAttestors}
`;
  const agent: RunningAgent = await startAgent(parseAgentConfig(text, 'agent.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  });
  closers.push(() => agent.close());
  await eventually(() => expect(ca.syncRequests.at(-1)?.appliedRevision).toBe(ca.revision));
  return agent;
}

/** A process in this cgroup that has connected, and was not asked about yet. */
async function peerIn(cgroup: string): Promise<AttestedPeer> {
  const { peer } = await AttestedPeer.start(socket, directory);
  closers.push(() => peer.end());
  await peer.moveTo(cgroups?.make(cgroup) ?? '');
  return peer;
}

function streamOf(peer: AttestedPeer) {
  const client = new WorkloadClient(peer.socket);
  closers.push(() => client.close());
  return client.svids();
}

function sdsOf(peer: AttestedPeer): SdsClient {
  const client = new SdsClient(peer.socket);
  closers.push(() => client.close());
  client.ask(['default']);
  return client;
}

const idOf = (stream: ReturnType<typeof streamOf>): string | undefined =>
  stream.messages.at(-1)?.svids[0]?.spiffeId;
const granted = (stream: ReturnType<typeof streamOf>): Promise<void> =>
  eventually(() => expect(idOf(stream)).toBe(webId));
const without = (stream: ReturnType<typeof streamOf>): Promise<void> =>
  eventually(() => expect(stream.ended?.code).toBe(7));

const everySelector = [
  'k8s:ns:shop',
  'k8s:sa:web',
  'k8s:pod-name:web-1',
  'k8s:node-name:n1',
  'k8s:pod-label:app:web',
  'k8s:pod-owner:ReplicaSet:web-5d4f8c7b9',
  'k8s:container-name:app',
  'k8s:container-image:example.test/web:1',
  `k8s:image-digest:sha256:${'a'.repeat(64)}`,
];

describe.skipIf(cgroups === undefined || lacks('python3'))('with cgroups', () => {
  test('a pod is found at the kubelet, also one that is listed late; callers share its answers', async () => {
    const [pod, other] = [testPod('web-1', { app: 'web' }), testPod('db-1', { app: 'db' })];
    server.pods = [other];
    const agent = await start(k8s('kubelet'), [...everySelector, `k8s:pod-uid:${pod.uid}`]);
    const peers = await Promise.all(
      [pod, pod, pod, pod, other].map((one) => peerIn(cgroupOf(one))),
    );
    const streams = peers.map((peer) => streamOf(peer));
    await eventually(() => expect(server.lists.length).toBeGreaterThan(1));
    server.pods = [other, pod];
    for (const stream of streams.slice(0, 4)) await granted(stream);
    const stranger = streams[4];
    if (stranger !== undefined) await without(stranger);
    // Five callers that asked for some seconds: each by itself would have asked many times more.
    expect(server.lists.length).toBeLessThan(12);
    expect(new Set(server.lists)).toEqual(new Set(['/pods']));
    expect(agent.attestors.current()).toMatchObject([
      { name: 'unix', failing: false },
      { name: 'k8s', failing: false },
    ]);
  });

  test('the token is read again for each request; an attestor that fails is seen, and tried again', async () => {
    const pod = testPod('web-1', { app: 'web' });
    server.pods = [pod];
    server.token = 'second';
    const agent = await start(k8s('kubelet'), ['k8s:ns:shop']);
    const sds = sdsOf(await peerIn(cgroupOf(pod)));
    // The other attestors go on, and this one says why it does not.
    await eventually(() =>
      expect(agent.attestors.current()).toMatchObject([
        { name: 'unix', failing: false, failureCount: 0 },
        {
          name: 'k8s',
          failing: true,
          lastFailure: { reason: expect.stringContaining('status 401') },
        },
      ]),
    );
    expect(secretsOf(sds.last).has('default')).toBe(false);
    writeFileSync(tokenFile, 'second');
    await eventually(() => expect(secretsOf(sds.last).has('default')).toBe(true));
    expect(agent.attestors.current()[1]).toMatchObject({ failing: false });
  });

  test('a server with another certificate is not believed, unless the operator says so', async () => {
    const pod = testPod('web-1', { app: 'web' });
    server.pods = [pod];
    const agent = await start(k8s('kubelet', `caFile: ${caFile}`), ['k8s:ns:shop']);
    await without(streamOf(await peerIn(cgroupOf(pod))));
    expect(agent.attestors.current()[1]?.lastFailure?.reason).toContain('127.0.0.1');
    expect(server.lists).toEqual([]);
    await agent.close();
    ca.tokens.set('token', undefined);
    await start(k8s('kubelet', 'insecureSkipVerify: true'), ['k8s:ns:shop']);
    await granted(streamOf(await peerIn(cgroupOf(pod))));
  });

  test('by the API server a changed label takes the identity away while the stream lives, and back', async () => {
    const pod = testPod('web-1', { app: 'web' });
    server.pods = [pod];
    await start(k8s('apiServer'), ['k8s:pod-label:app:web', `k8s:pod-uid:${pod.uid}`]);
    await eventually(() => expect(server.watchCount).toBe(1));
    const [first, second, third] = [
      streamOf(await peerIn(cgroupOf(pod))),
      sdsOf(await peerIn(cgroupOf(pod))),
      sdsOf(await peerIn(cgroupOf(pod))),
    ];
    await granted(first);
    await eventually(() => expect(secretsOf(second.last).has('default')).toBe(true));
    await eventually(() => expect(secretsOf(third.last).has('default')).toBe(true));
    second.acknowledge(['default']);
    const count = second.responses.length;
    server.tell('MODIFIED', { ...pod, labels: { app: 'other' } });
    await without(first);
    // The node's pods were listed once, and never asked for again.
    expect(server.lists).toEqual(['/api/v1/pods?fieldSelector=spec.nodeName%3Dn1']);
    const next = streamOf(await peerIn(cgroupOf(pod)));
    await without(next);
    expect(second.responses.slice(count).filter((each) => secretsOf(each).has('default'))).toEqual(
      [],
    );
    server.tell('MODIFIED', pod);
    await granted(streamOf(await peerIn(cgroupOf(pod))));
    server.tell('DELETED', pod);
    const late = testPod('web-2', { app: 'web' });
    await without(streamOf(await peerIn(cgroupOf(late))));
  });

  test('a process that leaves its cgroup loses what it had by it', async () => {
    const pod = testPod('web-1', { app: 'web' });
    server.pods = [pod];
    await start(k8s('kubelet'), ['k8s:ns:shop']);
    const peer = await peerIn(cgroupOf(pod));
    const stream = streamOf(peer);
    await granted(stream);
    await peer.moveTo(cgroups?.make(`/signet-elsewhere-${randomBytes(4).toString('hex')}`) ?? '');
    await without(stream);
  });

  test('a cgroup that a container makes for itself speaks for no other', async () => {
    const [pod, other] = [testPod('web-1', { app: 'web' }), testPod('db-1', { app: 'db' })];
    server.pods = [pod, other];
    const agent = await start(k8s('kubelet'), ['k8s:pod-label:app:web']);
    const inner = streamOf(await peerIn(`${cgroupOf(pod)}/init`));
    await granted(inner);
    await without(streamOf(await peerIn(`${cgroupOf(other)}/${pod.containerId}`)));
    // A pod that says it has another pod's container.
    await without(streamOf(await peerIn(`/kubepods/pod${other.uid}/${pod.containerId}`)));
    expect(agent.attestors.current()[1]).toMatchObject({
      name: 'k8s',
      failing: false,
      lastRefusal: { reason: expect.stringContaining(other.uid) },
    });
  });

  test('labels, image and chosen variables of a container come from the engine', async () => {
    const [mine, foreign] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    const asked: string[] = [];
    const engine = createServer((request, response) => {
      asked.push(request.url ?? '');
      if (request.url !== `/containers/${mine}/json`) {
        response.writeHead(404).end('{"message":"No such container"}');
        return;
      }
      response.end(
        JSON.stringify({
          Id: mine,
          Image: `sha256:${'b'.repeat(64)}`,
          State: { Status: 'running', Running: true },
          Config: {
            Image: 'example.test/web:1',
            Labels: { 'com.docker.compose.service': 'web' },
            Env: ['TIER=front', 'PASSWORD=secret'],
          },
        }),
      );
    });
    const path = join(directory, 'docker.sock');
    engine.listen(path);
    await once(engine, 'listening');
    closers.push(async () => {
      engine.close();
      await once(engine, 'close');
    });
    const agent = await start(`{ docker: { socket: ${path}, env: [TIER] }, systemd: {} }`, [
      'docker:label:com.docker.compose.service:web',
      'docker:image_id:example.test/web:1',
      `docker:image_config_digest:sha256:${'b'.repeat(64)}`,
      'docker:env:TIER=front',
    ]);
    const stream = streamOf(await peerIn(`/docker/${mine}`));
    await granted(stream);
    await without(streamOf(await peerIn(`/system.slice/docker-${foreign}.scope`)));
    expect(asked).toEqual([`/containers/${mine}/json`, `/containers/${foreign}/json`]);
    // What was not opted into is no selector, and a unit's name comes from the cgroup alone.
    ca.setEntries([{ id: 'w', spiffeId: webId, selectors: ['docker:env:PASSWORD=secret'] }]);
    await without(stream);
    ca.setEntries([{ id: 'u', spiffeId: webId, selectors: [`systemd:id:docker-${mine}.scope`] }]);
    await granted(streamOf(await peerIn(`/system.slice/docker-${mine}.scope`)));
    expect(agent.attestors.current().map(({ name }) => name)).toEqual([
      'unix',
      'docker',
      'systemd',
    ]);
  });
});
