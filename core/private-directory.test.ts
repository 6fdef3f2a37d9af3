import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makePrivateDirectory } from './private-directory.ts';

describe('private directory', () => {
  let base: string;

  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'private-'));
  });

  afterEach(() => rm(base, { recursive: true }));

  test('is made with the parents it needs, all closed to others', async () => {
    await makePrivateDirectory(join(base, 'a', 'b', 'c'));
    for (const path of ['a', 'a/b', 'a/b/c']) expect(await modeOf(join(base, path))).toBe(0o700);
  });

  test('one that is open to others is closed, and its parent left alone', async () => {
    await chmod(base, 0o755);
    await mkdir(join(base, 'a'), { mode: 0o755 });
    await makePrivateDirectory(join(base, 'a'));
    expect([await modeOf(base), await modeOf(join(base, 'a'))]).toEqual([0o755, 0o700]);
  });

  test('a file in its place or on the way is an error', async () => {
    await writeFile(join(base, 'file'), '');
    await expect(makePrivateDirectory(join(base, 'file'))).rejects.toMatchObject({
      code: 'ENOTDIR',
    });
    await expect(makePrivateDirectory(join(base, 'file', 'a'))).rejects.toMatchObject({
      code: 'ENOTDIR',
    });
  });

  test('a file system that will have no directory does not hold it up', async () => {
    await expect(makePrivateDirectory('/proc/none/store')).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}
