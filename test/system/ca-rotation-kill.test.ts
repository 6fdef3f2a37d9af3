import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { verifyAuditLog } from '../../ca/index.ts';
import { type RotationStep, rotateRoot } from '../../cli/commands/authority-rotate.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { systemClock } from '../../core/index.ts';
import { trustDomain } from './ca-fixture.ts';
import { runSignet } from './signet-command.ts';

let directory: string;
let admin: AdminClient;
let adminSocket: string;
let config: string;
let child: Child;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signet-rotate-'));
  for (const name of ['logs', 'tmp', 'config']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'config', 'kek'), randomBytes(32).toString('hex'));
  adminSocket = join(directory, 'admin.sock');
  config = writeConfig(directory, 'ca', {
    trustDomain,
    data: join(directory, 'ca'),
    listen: '127.0.0.1:0',
    adminSocket,
    keyEncryptionKey: { file: join(directory, 'config', 'kek') },
    // The CA's own certificate is the only leaf: it is what the old root has to wait for.
    lifetimes: { root: '1h', issuing: '10m', x509Svid: '2s', nodeSvid: '2s', backdate: '1s' },
  });
  admin = adminClient(adminSocket);
  await start();
});

afterEach(async () => {
  await child.stop('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

async function start(): Promise<void> {
  child = startChild({
    name: 'ca',
    directory,
    script: signetScript,
    args: ['ca', 'run', '--config', config],
  });
  await waitFor('the CA answering', 30_000, async () => {
    expect(child.ended()).toBeUndefined();
    return admin.status();
  });
}

test('killed at every step of a rotation, it ends as if it had not been', async () => {
  const before = (await admin.status()).activeRootId;
  const steps: RotationStep[] = [];
  let restarts: Promise<void> = Promise.resolve();
  const outcome = await rotateRoot({
    admin,
    clock: systemClock,
    stopped: new AbortController().signal,
    force: false,
    onStep: (step) => {
      steps.push(step);
      if (step.state !== 'done') return;
      child.process.kill('SIGKILL');
      restarts = restarts.then(() => child.stop('SIGKILL')).then(start);
    },
  });
  await restarts;
  const done = steps.filter(({ state }) => state === 'done').map(({ step }) => step);
  expect(done[0]).toBe('prepare');
  expect(new Set(done)).toEqual(new Set(['prepare', 'publish', 'activate', 'retire']));
  const { authorities } = await admin.listAuthorities();
  const roots = authorities.filter(({ tier }) => tier === 'root');
  expect(roots.map(({ id, state }) => [id, state])).toEqual([
    [before, 'retired'],
    [outcome.kind === 'rotated' ? outcome.rootId : '', 'active'],
  ]);
  await child.stop('SIGTERM');
  expect(await verifyAuditLog({ directory: join(directory, 'ca', 'audit') })).toMatchObject({
    kind: 'ok',
  });
}, 60_000);

test('the commands of a rotation and of a compromise, as an operator runs them', async () => {
  const signet = (...args: string[]) => runSignet([...args, '--socket', adminSocket]);
  const plan = await signet('authority', 'plan');
  expect(plan.stdout).toMatch(/prepare +ready/);
  const prepared = JSON.parse((await signet('authority', 'prepare', '-o', 'json')).stdout);
  const aborted = await signet('authority', 'abort', prepared.id);
  expect(aborted.stdout).toMatch(/State +retired/);
  const { activeRootId, activeIssuingId } = await admin.status();
  const refused = await signet('authority', 'taint', activeRootId);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('no published root') });
  expect((await signet('authority', 'taint', activeIssuingId)).stdout).toMatch(/Tainted +20/);
  expect((await admin.status()).activeIssuingId).not.toBe(activeIssuingId);
  const rotated = await signet('authority', 'rotate', '-o', 'json');
  const steps = rotated.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(steps.at(-1)).toMatchObject({ step: 'retire', state: 'done', authorityId: activeRootId });
  expect(rotated.code).toBe(0);
}, 60_000);
