import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { utf8Bytes } from '../../core/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { appendLeaf, emptyTree, leafHashOf, type MerkleTree } from './merkle.ts';
import { Sealer } from './sealer.ts';

const directory = mkdtempSync(join(tmpdir(), 'signet-sealer-'));
afterAll(() => rmSync(directory, { recursive: true }));

const { privateKey: signKey } = generateKeyPairSync('ed25519');
const trees = [emptyTree];
for (let size = 0; size < 5; size += 1) {
  trees.push(appendLeaf(trees.at(-1) ?? emptyTree, leafHashOf(utf8Bytes(`record ${size}`))));
}
const treeOf = (size: number): MerkleTree => trees[size] ?? emptyTree;

test('records that follow one another share a checkpoint; the first is sealed at once', async () => {
  const { clock, sealer, sizeOnDisk } = sealing('shared');
  sealer.request(treeOf(1));
  await expect.poll(sizeOnDisk).toBe(1);
  sealer.request(treeOf(2));
  sealer.request(treeOf(3));
  await clock.advance(99);
  expect(sizeOnDisk()).toBe(1);
  await clock.advance(1);
  await expect.poll(sizeOnDisk).toBe(3);
});

test('whoever waits for a checkpoint has it at once, and nothing older comes after it', async () => {
  const { clock, sealer, sizeOnDisk } = sealing('awaited');
  sealer.request(treeOf(1));
  sealer.request(treeOf(2));
  await sealer.seal(treeOf(3));
  expect(sizeOnDisk()).toBe(3);
  await clock.advance(1000);
  expect(sizeOnDisk()).toBe(3);
});

test('a failed checkpoint is told to whoever asks, and made up for', async () => {
  const { sealer, sizeOnDisk, fault } = sealing('failed');
  fault.cause = new Error('no space left');
  sealer.request(treeOf(1));
  await expect.poll(() => sealer.hasFailed()).toBe(true);
  await expect(sealer.seal(treeOf(1))).rejects.toThrow('no space left');
  fault.cause = undefined;
  await sealer.seal(treeOf(1));
  expect(sealer.hasFailed()).toBe(false);
  expect(sizeOnDisk()).toBe(1);
});

function sealing(name: string) {
  const path = join(directory, name);
  const clock = new ManualClock(0);
  const fault: { cause: Error | undefined } = { cause: undefined };
  const sizeOnDisk = (): number => Number(readFileSync(path, 'utf8').split('\n')[1]);
  const sealer = new Sealer({
    path,
    origin: 'mesh.test/signet/audit',
    signKey,
    sealedSize: undefined,
    clock,
    everyMs: 100,
    before: async () => {
      if (fault.cause !== undefined) throw fault.cause;
    },
  });
  return { clock, sealer, sizeOnDisk, fault };
}
