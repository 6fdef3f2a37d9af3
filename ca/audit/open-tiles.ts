/**
 * Opening the tiles of a log: they are derived, so what is missing, behind or wrong is made again.
 *
 * A crash leaves them a little behind the records, never before them: a leaf is added once its record
 * is durable. The root that comes out must be the one that the records gave.
 */

import { equalBytes } from '../../core/index.ts';
import { AuditError } from './audit-error.ts';
import { leafHashes } from './leaf-hashes.ts';
import { type MerkleTree, rootHashOf } from './merkle.ts';
import { partialTiles, type Tile, TileEdge, tileWidth, wholeTileCounts } from './tile.ts';
import { countWholeTiles, dropTilesBeyond, readTile, widestTile } from './tile-files.ts';
import { TileWriter } from './tile-writer.ts';

/** A writer that stands at `tree`, with every tile of it on the disk. Throws {@link AuditError}. */
export async function openTiles(directory: string, tree: MerkleTree): Promise<TileWriter> {
  const edge = await edgeOnDisk(directory, tree.size);
  if (edge !== undefined) {
    const writer = new TileWriter(directory, edge);
    if (await catchUp(directory, writer, tree)) return writer;
  }
  const writer = new TileWriter(directory);
  if (await catchUp(directory, writer, tree)) return writer;
  throw new AuditError(
    'audit_broken',
    `the tiles of the audit log ${directory} are not those of its records`,
    { remedy: 'find what differs with signet audit verify, and restore tile/ from a backup' },
  );
}

/** Whether the writer came to `tree`; then all of it is on the disk. */
async function catchUp(directory: string, writer: TileWriter, tree: MerkleTree): Promise<boolean> {
  for await (const hash of leafHashes(directory, writer.edge().size(), tree.size)) {
    writer.add(hash);
    if (writer.pending() >= pendingMax) await writer.flush();
  }
  const root = rootHashOf(writer.edge().tree());
  if (!equalBytes(root, rootHashOf(tree))) return false;
  await writer.flush();
  const partials = writer.edge().partials();
  for (let level = 0; level < levelMax; level += 1) {
    const hashes = Math.floor(tree.size / tileWidth ** level);
    const place = { level, number: Math.floor(hashes / tileWidth), width: hashes % tileWidth };
    const tile = partials.find((each) => each.level === level);
    await dropTilesBeyond(directory, place, tile);
  }
  return true;
}

/** The right edge as the disk has it, or undefined if there is a hole. */
async function edgeOnDisk(directory: string, size: number): Promise<TileEdge | undefined> {
  const found = await sizeOnDisk(directory, size);
  for (const [level, count] of wholeTileCounts(found).entries()) {
    if ((await countWholeTiles(directory, level)) < count) return undefined;
  }
  const partials: Tile[] = [];
  for (const place of partialTiles(found)) {
    const hashes = await readTile(directory, place);
    if (hashes === undefined) return undefined;
    partials.push({ ...place, hashes });
  }
  return new TileEdge(found, partials);
}

/** How many leaves the lowest tiles hold, at most `size`. */
async function sizeOnDisk(directory: string, size: number): Promise<number> {
  for (let number = Math.floor(size / tileWidth); number >= 0; number -= 1) {
    const width = await widestTile(directory, 0, number);
    if (width > 0) return Math.min(size, number * tileWidth + width);
  }
  return 0;
}

// 256^6 records are more than an index can count.
const levelMax = 6;
// Four megabytes of hashes: a log of any size is caught up with in a fixed memory.
const pendingMax = 512;
