/** A log that is lost, put back, swapped or restored: what a CA as a process makes of it. */

import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CaProgram } from './ca-program.ts';
import { type CommandResult, runSignet } from './signet-command.ts';

let mesh: CaProgram;
let checkpoint: string;
let key: string;

beforeEach(async () => {
  mesh = new CaProgram();
  await mesh.start();
  checkpoint = join(mesh.directory, 'noted.checkpoint');
  key = join(mesh.directory, 'noted.key');
  cpSync(join(mesh.audit, 'verifier.pub'), key);
});

afterEach(() => mesh.end());

const beside = (name: string): string => join(mesh.directory, name);
const fromFiles = (...args: string[]): Promise<CommandResult> =>
  runSignet(['audit', ...args, '--data', mesh.data]);

async function noteCheckpoint(): Promise<void> {
  const { stdout } = await fromFiles('checkpoint');
  writeFileSync(checkpoint, stdout);
}

describe('a log that is not the one it was', () => {
  test('is refused at the start: vanished, put back to an earlier day, swapped for a fork', async () => {
    await mesh.stop();
    cpSync(mesh.audit, beside('early'), { recursive: true });
    cpSync(mesh.data, beside('twin'), { recursive: true });
    await mesh.start();
    await mesh.admin.createToken({ ttlSeconds: 60 });
    await mesh.stop();
    renameSync(mesh.audit, beside('kept'));

    // Vanished.
    const gone = await mesh.refusal();
    expect(gone).toMatch(/audit is gone: it had \d+ records.*signet audit restart/);
    expect(existsSync(mesh.audit)).toBe(false);

    // Put back.
    cpSync(beside('early'), mesh.audit, { recursive: true });
    expect(await mesh.refusal()).toMatch(/audit has \d+ records, and had \d+ before/);
    rmSync(mesh.audit, { recursive: true });

    // Another history under the very same key, and longer.
    const twin = new CaProgram({}, beside('twin'));
    try {
      cpSync(mesh.kek, twin.kek);
      await twin.start();
      for (let more = 0; more < 6; more += 1) await twin.admin.createToken({ ttlSeconds: 60 });
      await twin.stop();
    } finally {
      await twin.end();
    }
    cpSync(join(beside('twin'), 'audit'), mesh.audit, { recursive: true });
    expect(await mesh.refusal()).toMatch(/the first \d+ records .* are not those it had before/);
    rmSync(mesh.audit, { recursive: true });

    // The right one back: it goes on.
    renameSync(beside('kept'), mesh.audit);
    await mesh.start();
    await mesh.stop();
    expect((await fromFiles('verify')).code).toBe(0);
  });

  test('is begun anew only on purpose, and the new log says so first', async () => {
    await noteCheckpoint();
    const restart = (...more: string[]) =>
      runSignet(['audit', 'restart', '--data', mesh.data, '--reason', 'disk died', ...more]);
    expect(await restart('--i-lost-the-log')).toMatchObject({
      code: expect.not.toBeOneOf([0]),
      stderr: expect.stringMatching(/another process|in use|locked/),
    });
    await mesh.stop();
    expect(await restart('--i-lost-the-log')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/audit is whole, with \d+ records/),
    });
    rmSync(join(mesh.audit, 'checkpoint'));
    expect(await restart()).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--i-lost-the-log'),
    });
    const done = await restart('--i-lost-the-log');
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(done.stdout).toMatch(/Lost +\d+ records, root [0-9a-f]{64}/);
    expect(readdirSync(mesh.data).some((name) => name.startsWith('audit.lost-'))).toBe(true);

    await mesh.start();
    const [first, second] = (await mesh.admin.audit({ from: 0, limit: 2 })).records;
    expect(first).toMatchObject({
      type: 'audit.restarted',
      reason: 'disk died',
      actor: { kind: 'admin', id: `uid:${process.getuid?.() ?? ''}` },
    });
    expect(second).toMatchObject({ type: 'ca.started' });
    await mesh.stop();
    expect(await fromFiles('verify')).toMatchObject({ code: 0 });
    // Under the old key it is nobody's log: no witness takes it for the one that was lost.
    const asOld = await fromFiles('verify', '--since', checkpoint, '--verifier', `@${key}`);
    expect(asOld).toMatchObject({ code: 1, stderr: expect.stringContaining('bad_signature') });
    // And it is not begun anew a second time.
    await mesh.start();
    expect((await mesh.admin.audit({ from: 1, limit: 100 })).records).not.toContainEqual(
      expect.objectContaining({ type: 'audit.restarted' }),
    );
  });

  test('is named by whoever noted a later checkpoint, when it comes from a backup', async () => {
    const { node } = await mesh.join();
    const backup = beside('backup');
    const from = ['--data', mesh.data, '--socket', mesh.adminSocket];
    const made = await runSignet(['ca', 'backup', ...from, '--to', backup]);
    expect(made).toMatchObject({ code: 0 });
    const { size: sizeBefore } = await mesh.admin.audit({ from: 0, limit: 1 });
    for (let more = 0; more < 3; more += 1) await mesh.admin.createToken({ ttlSeconds: 60 });
    node.close();
    await mesh.stop('SIGKILL');
    await mesh.start();
    await mesh.stop();
    await noteCheckpoint();

    rmSync(mesh.data, { recursive: true });
    const restored = await runSignet(['ca', 'restore', '--from', backup, '--data', mesh.data]);
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    await mesh.start();
    const { records } = await mesh.admin.audit({ from: 0, limit: 100 });
    const end: { sha256: string } = JSON.parse(
      readFileSync(backup, 'utf8').trimEnd().split('\n').at(-1) ?? '',
    );
    const [record, ...others] = records.filter(({ type }) => type === 'ca.restored');
    expect(others).toEqual([]);
    expect(record).toMatchObject({
      actor: { kind: 'system', id: 'ca' },
      backup: { sha256: end.sha256, createdAt: expect.stringMatching(/^\d{4}-/) },
      checkpoint: { size: record?.index, rootHash: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(record?.index).toBeLessThanOrEqual(sizeBefore);
    // Said once: a further start has nothing to add.
    await mesh.stop();
    await mesh.start();
    const again = (await mesh.admin.audit({ from: 0, limit: 200 })).records;
    expect(again.filter(({ type }) => type === 'ca.restored')).toHaveLength(1);

    // As long as the lost log and longer, it is still another history.
    const noted = Number(readFileSync(checkpoint, 'utf8').split('\n')[1]);
    while ((await mesh.admin.status()).audit.size <= noted) {
      await mesh.admin.createToken({ ttlSeconds: 60 });
    }
    await mesh.stop();
    expect(await fromFiles('verify')).toMatchObject({ code: 0 });
    expect(await fromFiles('verify', '--since', checkpoint)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        new RegExp(`forked.*record ${record?.index} says that the CA was restored from a backup`),
      ),
    });
  });
});
