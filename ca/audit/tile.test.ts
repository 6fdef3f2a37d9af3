import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fc, test as property } from '@fast-check/vitest';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, utf8Bytes } from '../../core/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { AuditEvent } from './event.ts';
import { type AuditLogOptions, openAuditLog } from './log.ts';
import { appendLeaf, emptyTree, leafHashOf, rootHashOf } from './merkle.ts';
import { consistencyProof, inclusionProof } from './merkle-proof.ts';
import { parseVerifierKey } from './signed-note.ts';
import { partialTiles, TileEdge, tileHolding, tilePath, wholeTileCounts } from './tile.ts';
import { TileReader } from './tile-reader.ts';
import { TileWriter } from './tile-writer.ts';
import { verifyAuditLog } from './verify.ts';

describe('the places of tiles', () => {
  test.for([
    // The example of C2SP tlog-tiles is tile 1,234,067 of a level.
    { place: { level: 0, number: 1_234_067, width: 256 }, path: 'tile/0/x001/x234/067' },
    { place: { level: 0, number: 0, width: 256 }, path: 'tile/0/000' },
    { place: { level: 1, number: 0, width: 17 }, path: 'tile/1/000.p/17' },
    { place: { level: 2, number: 1000, width: 1 }, path: 'tile/2/x001/000.p/1' },
  ])('$path', ({ place, path }) => {
    expect(tilePath(place)).toBe(path);
  });

  test('a tree of 70,000 has the tiles that the standard gives as its example', () => {
    expect(wholeTileCounts(70_000)).toEqual([273, 1]);
    expect(partialTiles(70_000)).toEqual([
      { level: 0, number: 273, width: 112 },
      { level: 1, number: 1, width: 17 },
      { level: 2, number: 0, width: 1 },
    ]);
    expect(tileHolding(0, 69_999, 70_000)).toEqual({ level: 0, number: 273, width: 112 });
    expect(tileHolding(1, 272, 70_000)).toEqual({ level: 1, number: 1, width: 17 });
  });

  property.prop([fc.nat({ max: 3000 })], { numRuns: 20 })(
    'the edge is the tree, and stands again from its partial tiles',
    (size) => {
      const edge = new TileEdge();
      for (let index = 0; index < size; index += 1) edge.append(leaf(index));
      const tree = treeOf(size);
      expect(edge.tree()).toEqual(tree);
      expect(new TileEdge(size, edge.partials()).tree()).toEqual(tree);
    },
  );
});

describe('tiles on a disk', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const origin = 'mesh.test/signet/audit';
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tiles-'));
  });

  afterEach(() => rm(directory, { recursive: true }));

  async function write(count: number, options: Partial<AuditLogOptions> = {}): Promise<void> {
    const log = await openAuditLog({
      directory,
      clock: systemClock,
      signKey: privateKey,
      origin,
      ...options,
    });
    await Promise.all(Array.from({ length: count }, () => log.append(event)));
    await log.close();
  }

  async function checkpoint() {
    const key = parseVerifierKey((await readFile(join(directory, 'verifier.pub'), 'utf8')).trim());
    if (key === undefined) throw new Error('no key');
    const verdict = openCheckpoint(await readFile(join(directory, 'checkpoint'), 'utf8'), key);
    if (verdict.kind === 'refused') throw new Error(verdict.code);
    return verdict.checkpoint;
  }

  /** The tiles say what the checkpoint says. */
  async function expectProvable(): Promise<void> {
    const { size, rootHash } = await checkpoint();
    expect(await new TileReader(directory, size).rootHash()).toEqual(rootHash);
    for (let index = 0; index < size; index += 97) {
      await new TileReader(directory, size).leafHash(index);
    }
  }

  test('proofs from tiles are those of the standard, over trees of many shapes', async () => {
    const writer = new TileWriter(directory);
    const leaves: Uint8Array[] = [];
    for (const size of [1, 2, 5, 255, 256, 257, 300, 511, 513, 1200]) {
      while (leaves.length < size) {
        leaves.push(leaf(leaves.length));
        writer.add(leaf(leaves.length - 1));
      }
      await writer.flush();
      for (const wanted of new Set([1, 2, 200, 256, 257, 512, size])) {
        if (wanted > size) continue;
        const reader = new TileReader(directory, size);
        expect(await reader.rootHash()).toEqual(rootHashOf(treeOf(size)));
        expect(await reader.inclusionProof(wanted - 1)).toEqual(inclusionProof(leaves, wanted - 1));
        expect(await reader.consistencyProof(wanted)).toEqual(consistencyProof(leaves, wanted));
      }
    }
  });

  test('a tree whose right edge was outgrown is still proven', async () => {
    const writer = new TileWriter(directory);
    for (let index = 0; index < 700; index += 1) writer.add(leaf(index));
    await writer.flush();
    for (const size of [1, 100, 256, 600, 699]) {
      expect(await new TileReader(directory, size).rootHash()).toEqual(rootHashOf(treeOf(size)));
    }
  });

  test('one partial tile a level stays, and none beside a whole one', async () => {
    await write(200);
    await write(30);
    expect(await readdir(join(directory, 'tile/0'))).toEqual(['000.p']);
    expect(await readdir(join(directory, 'tile/0/000.p'))).toEqual(['230']);
    await write(30);
    expect((await readdir(join(directory, 'tile/0'))).toSorted()).toEqual(['000', '001.p']);
    await expectProvable();
  });

  test.for<{ name: string; damage: () => Promise<void> }>([
    { name: 'all gone', damage: () => rm(join(directory, 'tile'), { recursive: true }) },
    { name: 'a whole tile gone', damage: () => rm(join(directory, 'tile/0/001')) },
    { name: 'a level gone', damage: () => rm(join(directory, 'tile/1'), { recursive: true }) },
    { name: 'the newest gone', damage: () => rm(join(directory, 'tile/0/002.p/88')) },
    {
      name: 'the newest empty, as a power cut leaves it',
      damage: () => truncate(join(directory, 'tile/0/002.p/88'), 0),
    },
    {
      name: 'the newest behind',
      damage: async () => {
        const bytes = await readFile(join(directory, 'tile/0/002.p/88'));
        await rm(join(directory, 'tile/0/002.p/88'));
        await writeFile(join(directory, 'tile/0/002.p/40'), bytes.subarray(0, 40 * 32));
      },
    },
    {
      name: 'ahead of the records, as a disk leaves it that lost some',
      damage: async () => {
        const bytes = await readFile(join(directory, 'tile/0/001'));
        await writeFile(join(directory, 'tile/0/002'), bytes);
        await writeFile(join(directory, 'tile/0/003'), bytes);
      },
    },
    {
      name: 'the newest of others',
      damage: () => writeFile(join(directory, 'tile/0/002.p/88'), Buffer.alloc(88 * 32)),
    },
  ])('made again when the log opens: $name', async ({ damage }) => {
    await write(600, { segmentBytesMax: 40_000 });
    await damage();
    await write(3, { segmentBytesMax: 40_000 });
    expect((await checkpoint()).size).toBe(603);
    await expectProvable();
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', tilesMissing: 0 });
    expect(await readdir(join(directory, 'tile/0'))).toEqual(['000', '001', '002.p']);
  });
});

const event: AuditEvent = {
  type: 'node.removed',
  actor: { kind: 'admin', id: 'uid:0' },
  nodeId: 'spiffe://mesh.test/signet/node/1',
};

function leaf(index: number): Uint8Array {
  return leafHashOf(utf8Bytes(`leaf ${index}`));
}

function treeOf(size: number) {
  let tree = emptyTree;
  for (let index = 0; index < size; index += 1) tree = appendLeaf(tree, leaf(index));
  return tree;
}
