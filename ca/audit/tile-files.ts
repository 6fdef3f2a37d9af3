/** Tiles on the disk. What is read is checked for its length; that it is right, a root must show. */

import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileError, readWhole, replaceFile, systemErrorCode } from '../../core/index.ts';
import { hashBytes } from './merkle.ts';
import { unreadable } from './segment.ts';
import { type Tile, tilePath, type TilePlace, tileWidth } from './tile.ts';

/**
 * The hashes of a tile, or undefined if it is not there. A wider tile serves as well: the narrower one
 * is its beginning, and a log may drop it (C2SP tlog-tiles, "Partial Tiles").
 */
export async function readTile(
  directory: string,
  place: TilePlace,
): Promise<Uint8Array | undefined> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const width = await widestTile(directory, place.level, place.number);
    if (width < place.width) continue;
    const bytes = await readIfWhole(join(directory, tilePath({ ...place, width })), width);
    if (bytes !== undefined) return bytes.subarray(0, place.width * hashBytes);
  }
  return undefined;
}

/** The widest that tile `number` of `level` is found on the disk; 0 if it is not there. */
export async function widestTile(
  directory: string,
  level: number,
  number: number,
): Promise<number> {
  const whole = { level, number, width: tileWidth };
  if (await hasWidth(join(directory, tilePath(whole)), tileWidth)) return tileWidth;
  for (const width of await partialWidths(directory, whole)) {
    if (await hasWidth(join(directory, tilePath({ ...whole, width })), width)) return width;
  }
  return 0;
}

/** Writes a whole tile so that it survives a power cut, and drops the partial ones it replaces. */
export async function writeWholeTile(directory: string, tile: Tile): Promise<void> {
  const path = join(directory, tilePath(tile));
  await mkdir(dirname(path), { recursive: true, mode: directoryMode });
  await replaceFile(path, tile.hashes, fileMode);
  await rm(`${path}.p`, { recursive: true, force: true });
}

/**
 * Writes a partial tile, then drops the one before it. It is not synced: it is written at every
 * checkpoint, and what a power cut takes is made again from the records when the log opens.
 */
export async function writePartialTile(
  directory: string,
  tile: Tile,
  widthBefore: number | undefined,
): Promise<void> {
  const path = join(directory, tilePath(tile));
  await mkdir(dirname(path), { recursive: true, mode: directoryMode });
  const file = await open(`${path}.new`, 'w', fileMode);
  try {
    await file.writeFile(tile.hashes);
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  if (widthBefore === undefined) return;
  await rm(join(directory, tilePath({ ...tile, width: widthBefore })), { force: true });
}

/**
 * Drops what speaks of more hashes of `level` than there are: `width` of tile `number`, which is given if
 * it is not empty. A disk that lost records it had promised may have kept their tiles.
 */
export async function dropTilesBeyond(
  directory: string,
  place: TilePlace,
  tile: Tile | undefined,
): Promise<void> {
  const { level } = place;
  for (let number = place.number; ; number += 1) {
    const kept = number === place.number ? place.width : 0;
    if ((await widestTile(directory, level, number)) <= kept) return;
    if (tile !== undefined && kept > 0) await writePartialTile(directory, tile, undefined);
    const whole = { level, number, width: tileWidth };
    await rm(join(directory, tilePath(whole)), { force: true });
    for (const width of await partialWidths(directory, whole)) {
      if (width > kept) await rm(join(directory, tilePath({ ...whole, width })));
    }
  }
}

/** How many whole tiles of a level are on the disk. */
export async function countWholeTiles(directory: string, level: number): Promise<number> {
  return countBelow(join(directory, 'tile', String(level)));
}

async function countBelow(path: string): Promise<number> {
  let count = 0;
  for (const name of await namesIn(path)) {
    if (/^\d{3}$/.test(name)) count += 1;
    else if (/^x\d{3}$/.test(name)) count += await countBelow(join(path, name));
  }
  return count;
}

async function partialWidths(directory: string, place: TilePlace): Promise<readonly number[]> {
  const whole = tilePath({ ...place, width: tileWidth });
  const names = await namesIn(join(directory, `${whole}.p`));
  return names
    .filter((name) => /^[1-9]\d{0,2}$/.test(name))
    .map(Number)
    .toSorted((left, right) => right - left);
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw unreadable(path, error);
  }
}

/** A power cut can leave a file that is named and empty: as good as not there. */
async function hasWidth(path: string, width: number): Promise<boolean> {
  try {
    return (await stat(path)).size === width * hashBytes;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw unreadable(path, error);
  }
}

/** Undefined if it is not there any more: a log that runs replaces its partial tiles. */
async function readIfWhole(path: string, width: number): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readWhole(path);
    return bytes.length === width * hashBytes ? bytes : undefined;
  } catch (error) {
    if (error instanceof FileError && error.code === 'file_missing') return undefined;
    throw error;
  }
}

// Between two looks a log that runs may put a wider tile in the place of the one that was found.
const attemptsMax = 3;
// Tiles hold hashes alone, and whoever may enter the directory may check the log with them.
const directoryMode = 0o755;
const fileMode = 0o644;
