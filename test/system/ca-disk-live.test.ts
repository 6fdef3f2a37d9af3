/** A disk that fails under a running CA: what it answers meanwhile, and that it goes on when it may write again. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { verifyAuditLog } from '../../ca/index.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { adminRequest } from '../fakes/admin-request.ts';
import { connectNode, type TestNode } from './ca-client.ts';
import { signed } from './ca-fixture.ts';
import { CaProgram } from './ca-program.ts';
import {
  mountFallibleAgain,
  mountFallibleDisk,
  mountSmallDisk,
  repairFallibleDisk,
  unmountSmallDisk,
} from './small-disk.ts';

let disk: string;
let mesh: CaProgram;
let isMounted = false;
let isImmutable = false;

beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), 'signet-disk-'));
  mesh = new CaProgram({}, join(disk, 'ca'));
});
afterEach(async () => {
  if (isImmutable) setImmutable(false);
  await mesh.end();
  if (isMounted) unmountSmallDisk(disk);
  isMounted = false;
  rmSync(disk, { recursive: true, force: true });
  rmSync(`${disk}.image`, { force: true });
});

async function begin(): Promise<{ node: TestNode; entryId: string }> {
  mkdirSync(mesh.data);
  await mesh.start();
  const joined = await mesh.join();
  expect(await readiness()).toEqual({ status: 200, reasons: [] });
  return joined;
}

async function readiness(): Promise<{ status: number; reasons: readonly string[] }> {
  const { status, text } = await adminRequest(mesh.adminSocket, { method: 'GET', path: '/readyz' });
  const { reasons }: { reasons: string[] } = JSON.parse(text);
  return { status, reasons };
}

/** What a node is told once the disk refuses; the last page of the log's file may still take a record. */
function refusal(node: TestNode, entryId: string): Promise<string> {
  return waitFor('a refusal', 10_000, () =>
    signed(node, entryId).then(
      () => undefined,
      (error: unknown) => String(error),
    ),
  );
}

async function notReady(reason: RegExp): Promise<void> {
  const { status, reasons } = await waitFor('the probe failing', 10_000, async () => {
    const answer = await readiness();
    return answer.status === 200 ? undefined : answer;
  });
  expect({ status, text: reasons.join('\n') }).toEqual({
    status: 503,
    text: expect.stringMatching(reason),
  });
  // It lives, and answers what needs no disk.
  expect((await adminRequest(mesh.adminSocket, { method: 'GET', path: '/livez' })).status).toBe(
    200,
  );
  expect((await mesh.admin.listEntries({})).entries).toHaveLength(1);
}

async function readyAgain(node: TestNode, entryId: string): Promise<void> {
  await waitFor('certificates again', 10_000, () => signed(node, entryId).catch(() => undefined));
  await waitFor('an entry again', 10_000, () => createEntry('after').catch(() => undefined));
  await waitFor('the probe succeeding', 10_000, async () =>
    (await readiness()).status === 200 ? true : undefined,
  );
}

const createEntry = (path: string) =>
  mesh.admin.createEntry({
    spiffeId: `spiffe://mesh.test/${path}`,
    parentId: 'spiffe://mesh.test/cluster',
    selectors: ['unix:uid:1'],
  });

async function endWhole(): Promise<void> {
  await mesh.stop();
  expect(await verifyAuditLog({ directory: mesh.audit })).toMatchObject({ kind: 'ok' });
}

test('full: the readiness probe says so, and succeeds again once there is room', async ({
  skip,
}) => {
  isMounted = mountSmallDisk(disk, '32m');
  if (!isMounted) skip('this machine does not let the test mount a tmpfs');
  const { node, entryId } = await begin();
  const ballast = join(disk, 'ballast');
  const free = statfsSync(disk);
  writeFileSync(ballast, new Uint8Array(free.bavail * free.bsize));
  expect(await refusal(node, entryId)).toMatch(/disk_full/);
  await notReady(/ENOSPC|No space left/);
  rmSync(ballast);
  await readyAgain(node, entryId);
  node.close();
  await endWhole();
});

test('read-only under a running CA: refused by name, nothing half-written, and all is there after the repair', async ({
  skip,
}) => {
  const image = `${disk}.image`;
  const device =
    mountFallibleDisk(image, disk) ??
    skip('this machine does not let the test mount an ext4 image');
  isMounted = true;
  const { node, entryId } = await begin();
  device.fail();
  expect(await refusal(node, entryId)).toMatch(/disk_read_only.*may not be written/);
  await expect(createEntry('lost')).rejects.toMatchObject({ kind: 'unavailable' });
  await notReady(/EROFS|[Rr]ead-only file system/);
  // The kernel never lets this mount be written again; another one, after the repair, has all that was said.
  await mesh.stop('SIGKILL');
  unmountSmallDisk(disk);
  repairFallibleDisk(image);
  mountFallibleAgain(image, disk);
  await mesh.start();
  const again = connectNode(await mesh.address(), node.key, node.attested);
  node.close();
  await readyAgain(again, entryId);
  const paths = (await mesh.admin.listEntries({})).entries.map(({ spiffeId }) => spiffeId);
  expect(paths).not.toContain('spiffe://mesh.test/lost');
  again.close();
  await endWhole();
});

test('files that may not be changed under a running CA: refused by name, and it goes on without a restart', async ({
  skip,
}) => {
  const image = `${disk}.image`;
  if (mountFallibleDisk(image, disk) === undefined)
    skip('this machine does not let the test mount an ext4 image');
  isMounted = true;
  const { node, entryId } = await begin();
  // Unlike a mount, files become read-only while they are open for writing, and stop being so.
  setImmutable(true);
  expect(await refusal(node, entryId)).toMatch(/disk_read_only.*may not be written/);
  await expect(createEntry('lost')).rejects.toMatchObject({ kind: 'unavailable' });
  await notReady(/EPERM|not permitted/);
  setImmutable(false);
  await readyAgain(node, entryId);
  const paths = (await mesh.admin.listEntries({})).entries.map(({ spiffeId }) => spiffeId);
  expect(paths).not.toContain('spiffe://mesh.test/lost');
  node.close();
  await endWhole();
});

function setImmutable(how: boolean): void {
  execFileSync(changeAttributes, ['-R', how ? '+i' : '-i', mesh.data]);
  isImmutable = how;
}

// Of e2fsprogs: a program of the system, no package of ours.
const changeAttributes = 'chattr';
