import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { UnixCaller } from '../../../rpc/index.ts';
import { ManualClock } from '../../../test/fakes/manual-clock.ts';
import { createK8sAttestor } from './k8s-attestor.ts';
import type { FoundPod } from './pod-index.ts';

const procRoot = mkdtempSync(join(tmpdir(), 'k8s-proc-'));
afterAll(() => rmSync(procRoot, { recursive: true }));

const containerId = 'c'.repeat(64);
const podUid = '11111111-2222-3333-4444-555555555555';
const cgroups = {
  'of a pod': `/kubepods/burstable/pod${podUid}/${containerId}`,
  'of another engine': `/docker/${containerId}`,
};

const pod: FoundPod = {
  pod: {
    uid: podUid,
    name: 'web-1',
    namespace: 'shop',
    serviceAccount: 'web',
    nodeName: 'n1',
    labels: [],
    owners: [],
    containers: [],
    configHash: undefined,
  },
  container: { id: containerId, name: 'web', image: 'web:1', imageId: '' },
};

function setUp(container: keyof typeof cgroups) {
  const pid = 7;
  mkdirSync(join(procRoot, String(pid)), { recursive: true });
  writeFileSync(join(procRoot, String(pid), 'cgroup'), `0::${cgroups[container]}\n`);
  const clock = new ManualClock(0);
  let known: FoundPod | undefined;
  const attestor = createK8sAttestor({
    pods: { find: async () => known, subscribe: () => () => {}, close: async () => {} },
    clock,
    podWaitMs: 30_000,
    useMountinfo: false,
    procRoot,
  });
  const caller: UnixCaller = {
    kind: 'unix',
    connection: 'connection-1',
    pid,
    uid: 0,
    gid: 0,
    process: undefined,
    closed: new AbortController().signal,
  };
  return {
    clock,
    attest: () => attestor.attest(caller, new AbortController().signal),
    appear: () => {
      known = pod;
    },
  };
}

test('a pod whose status is on its way is waited for', async () => {
  const { clock, attest, appear } = setUp('of a pod');
  const attesting = attest();
  await clock.advance(20_000);
  appear();
  await clock.advance(250);
  expect((await attesting).selectors).toContain('k8s:ns:shop');
});

test('a pod that never has a status is waited for no longer than that', async () => {
  const { clock, attest } = setUp('of a pod');
  const failing = expect(attest()).rejects.toMatchObject({ code: 'attestor_unavailable' });
  await clock.advance(30_500);
  await failing;
});

test('a container that no pod claims holds nobody up, and is none of a pod after the wait', async () => {
  const { clock, attest } = setUp('of another engine');
  await expect(attest()).rejects.toMatchObject({ code: 'attestor_unavailable' });
  await clock.advance(29_000);
  await expect(attest()).rejects.toMatchObject({ code: 'attestor_unavailable' });
  await clock.advance(1000);
  expect((await attest()).selectors).toEqual([]);
});

test('one that a pod claims late is that pod’s', async () => {
  const { clock, attest, appear } = setUp('of another engine');
  await expect(attest()).rejects.toMatchObject({ code: 'attestor_unavailable' });
  await clock.advance(2000);
  appear();
  expect((await attest()).selectors).toContain('k8s:ns:shop');
});
