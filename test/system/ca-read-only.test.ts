/**
 * A disk that cannot be written. The kernel lets nobody make a file system read-only under a program that has
 * files open for writing, so the CA meets one at its start, or after a restart of the machine.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { signed } from './ca-fixture.ts';
import { connectNode } from './ca-client.ts';
import { CaProgram } from './ca-program.ts';
import { mountSmallDisk, remountSmallDisk, unmountSmallDisk } from './small-disk.ts';
import { runSignet } from './signet-command.ts';

test('a start on a read-only disk is refused by name and changes nothing; on the same disk, writable again, all is there', async ({
  skip,
}) => {
  const disk = mkdtempSync(join(tmpdir(), 'signet-read-only-'));
  const isMounted = mountSmallDisk(disk, '64m');
  if (!isMounted) {
    rmSync(disk, { recursive: true });
    skip('this machine does not let the test mount a tmpfs');
  }
  const mesh = new CaProgram({}, join(disk, 'ca'));
  try {
    mkdirSync(mesh.data);
    await mesh.start();
    const { node, entryId } = await mesh.join();
    // Under a running CA the kernel refuses, and the CA goes on.
    expect(remountSmallDisk(disk, 'ro')).toBe(false);
    await signed(node, entryId);
    await mesh.stop();

    expect(remountSmallDisk(disk, 'ro')).toBe(true);
    const before = contentOf(mesh.data);
    const refusal = await mesh.refusal();
    expect(refusal).toMatch(/read-only/);
    expect(refusal).not.toMatch(/at .*\.ts:\d+/);
    const reseal = ['--old-kek', mesh.kek, '--new-kek', mesh.kek];
    const commands: readonly (readonly string[])[] = [
      ['ca', 'reseal', '--data', mesh.data, ...reseal],
      ['ca', 'backup', '--data', mesh.data, '--to', join(disk, 'backup')],
      ['ca', 'restore', '--from', mesh.kek, '--data', join(disk, 'restored')],
      ['audit', 'restart', '--data', mesh.data, '--reason', 'x', '--i-lost-the-log'],
    ];
    for (const command of commands) {
      const { code, stderr } = await runSignet(command);
      expect(code, command.join(' ')).not.toBe(0);
      expect(stderr).toMatch(/read-only/);
    }
    // What only reads needs no more than a disk that can be read.
    expect(await runSignet(['audit', 'verify', '--data', mesh.data])).toMatchObject({ code: 0 });
    expect(contentOf(mesh.data)).toBe(before);

    expect(remountSmallDisk(disk, 'rw')).toBe(true);
    await mesh.start();
    const again = connectNode(await mesh.address(), node.key, node.attested);
    node.close();
    await signed(again, entryId);
    again.close();
    await mesh.stop();
    expect(await runSignet(['audit', 'verify', '--data', mesh.data])).toMatchObject({ code: 0 });
  } finally {
    await mesh.end();
    unmountSmallDisk(disk);
    rmSync(disk, { recursive: true, force: true });
  }
});

/** A hash of every name and byte below a directory. */
function contentOf(directory: string): string {
  const digest = createHash('sha256');
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  for (const path of files.map((file) => join(file.parentPath, file.name)).toSorted()) {
    digest.update(`${path}\n`).update(readFileSync(path));
  }
  return digest.digest('hex');
}
