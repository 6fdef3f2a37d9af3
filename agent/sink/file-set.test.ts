import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemRandom } from '../../core/index.ts';
import { writeFileSet, writeOneFile } from './file-set.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'set-'));
});
afterEach(() => rmSync(base, { recursive: true }));

const file = { name: 'svid.pem', content: Buffer.from('x'), mode: 0o600 };
const files = [file];
const isRoot = process.geteuid?.() === 0;
const stranger = 65_534;

test('a directory open to others is refused, sticky or not; made narrow, it is taken', async () => {
  const directory = join(base, 'd');
  mkdirSync(directory);
  for (const mode of [0o777, 0o1777]) {
    chmodSync(directory, mode);
    await expect(writeFileSet(directory, files, systemRandom)).rejects.toThrow('others may write');
    const one = writeOneFile(join(directory, 'one'), file);
    await expect(one).rejects.toThrow('others may write');
  }
  chmodSync(directory, 0o755);
  await writeFileSet(directory, files, systemRandom);
  expect(readFileSync(join(directory, 'svid.pem'), 'utf8')).toBe('x');
  await writeFileSet(directory, files, systemRandom);
});

test.runIf(isRoot)('a stranger’s directory or link is refused, our own is taken', async () => {
  const directory = join(base, 'd');
  const link = join(base, 'link');
  mkdirSync(directory, { mode: 0o755 });
  symlinkSync(directory, link);
  chownSync(directory, stranger, stranger);
  await expect(writeFileSet(directory, files, systemRandom)).rejects.toThrow('belongs to user');
  chownSync(directory, 0, 0);
  lchownSync(link, stranger, stranger);
  await expect(writeFileSet(link, files, systemRandom)).rejects.toThrow('belongs to user');
  lchownSync(link, 0, 0);
  await writeFileSet(link, files, systemRandom);
  lchownSync(join(directory, 'svid.pem'), stranger, stranger);
  await expect(writeFileSet(directory, files, systemRandom)).rejects.toThrow('belongs to user');
});
