/** Opening the embedded database, and telling its faults apart. */

import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { makePrivateDirectory, systemErrorCode } from '../../core/index.ts';
import { openError } from './level-faults.ts';
import {
  corrupt,
  decodeNumber,
  encodeNumber,
  eventRange,
  formatKey,
  formatVersion,
  oldestKey,
  revisionKey,
} from './level-layout.ts';
import { StoreError } from './store-error.ts';

export type LevelDatabase = Level<string, Uint8Array>;

export interface OpenedDatabase {
  readonly database: LevelDatabase;
  readonly revision: number;
  /** The oldest revision whose events are kept. */
  readonly oldest: number;
}

/** Opens or creates the database in `directory`. Throws {@link StoreError}. */
export async function openDatabase(directory: string): Promise<OpenedDatabase> {
  try {
    await makePrivateDirectory(directory);
  } catch (error) {
    throw openError(directory, error);
  }
  const database: LevelDatabase = new Level(directory, {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
  });
  try {
    await database.open();
  } catch (error) {
    throw openError(directory, error);
  }
  try {
    return { database, ...(await readMeta(database, directory)) };
  } catch (error) {
    await database.close();
    throw error instanceof StoreError ? error : openError(directory, error);
  }
}

/**
 * Whether a database that failed for want of something can be opened again: opening writes what its log
 * holds into a new file, and must not fail half-way with readers shut out.
 */
export async function hasRoom(directory: string): Promise<boolean> {
  const path = join(directory, 'room');
  try {
    const file = await open(path, 'w', 0o600);
    try {
      await file.writeFile(new Uint8Array(roomBytes));
      await file.sync();
    } finally {
      await file.close();
      await rm(path);
    }
    return true;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false;
  }
}

async function readMeta(
  database: LevelDatabase,
  directory: string,
): Promise<{ revision: number; oldest: number }> {
  const format = await database.get(formatKey);
  if (format === undefined) return initialize(database, directory);
  const found = decodeNumber(formatKey, format);
  if (found !== formatVersion) {
    throw new StoreError(
      'store_format',
      `${directory} holds a store of format ${found}, this version reads ${formatVersion}`,
      { remedy: 'run the version of Signet that wrote it' },
    );
  }
  const revision = await readNumber(database, revisionKey);
  const oldest = await readNumber(database, oldestKey);
  await checkNewestEvent(database, revision);
  return { revision, oldest };
}

async function initialize(
  database: LevelDatabase,
  directory: string,
): Promise<{ revision: number; oldest: number }> {
  const [stranger] = await database.keys({ limit: 1 }).all();
  if (stranger !== undefined) {
    throw new StoreError('store_format', `${directory} holds a database that is not Signet's`, {
      remedy: 'give the store a directory of its own',
    });
  }
  await database.batch(
    [
      { type: 'put', key: formatKey, value: encodeNumber(formatVersion) },
      { type: 'put', key: revisionKey, value: encodeNumber(0) },
      { type: 'put', key: oldestKey, value: encodeNumber(1) },
    ],
    { sync: true },
  );
  return { revision: 0, oldest: 1 };
}

/** Data, counter and events are written as one; a counter that fits no event means a lost file. */
async function checkNewestEvent(database: LevelDatabase, revision: number): Promise<void> {
  const range = eventRange(0, Number.MAX_SAFE_INTEGER);
  const [newest] = await database.keys({ ...range, reverse: true, limit: 1 }).all();
  const found = newest === undefined ? 0 : Number.parseInt(newest.slice(2), 16);
  if (found !== revision) throw corrupt(revisionKey);
}

async function readNumber(database: LevelDatabase, key: string): Promise<number> {
  const bytes = await database.get(key);
  if (bytes === undefined) throw corrupt(key);
  return decodeNumber(key, bytes);
}

// The database's log holds at most 4 MiB (its write buffer) before it becomes a file of its own.
const roomBytes = 8 * 1024 * 1024;
