/**
 * Writing a store from a backup: items with their revisions, at a revision that no store before it had.
 *
 * Whoever remembers a revision of the lost store (an agent that acknowledged one) must not find it again
 * with another meaning, so the restored store begins far above.
 */

import { formatKey, formatVersion, oldestKey, revisionKey } from './level-layout.ts';
import { dataKey, encodeEvents, encodeItem, encodeNumber, eventKey } from './level-layout.ts';
import { openDatabase } from './level-database.ts';
import { writeError } from './level-faults.ts';
import type { StoreItem } from './store.ts';
import { checkKey } from './transaction.ts';

export interface RestoringStore {
  /** Keeps an item as it was, or, with `isChanged`, as one that the restore itself wrote. */
  put(item: StoreItem, isChanged: boolean): Promise<void>;
  /** Makes the store whole; without it, what was written is no store. Throws StoreError. */
  finish(): Promise<void>;
  /** Lets go of the files, finished or not. */
  close(): Promise<void>;
}

/** Begins a store in the empty `directory`, of a backup that was read at `revision`. Throws StoreError. */
export async function restoreLevelStore(
  directory: string,
  revision: number,
): Promise<RestoringStore> {
  const { database } = await openDatabase(directory);
  const restored = revision + revisionsAbove;
  let waiting: { type: 'put'; key: string; value: Uint8Array }[] = [];
  let waitingBytes = 0;
  const flush = async (): Promise<void> => {
    try {
      await database.batch(waiting, { sync: true });
    } catch (error) {
      throw writeError(error);
    }
    waiting = [];
    waitingBytes = 0;
  };
  const add = async (key: string, value: Uint8Array): Promise<void> => {
    waiting.push({ type: 'put', key, value });
    waitingBytes += value.length;
    if (waitingBytes > batchBytesMax || waiting.length > batchItemsMax) await flush();
  };
  return {
    async put({ key, value, createRevision, modRevision }, isChanged) {
      checkKey(key);
      const version = { createRevision, modRevision: isChanged ? restored : modRevision };
      await add(dataKey(key), encodeItem(value, version));
    },
    async finish() {
      await add(eventKey(restored), encodeEvents([]));
      await add(formatKey, encodeNumber(formatVersion));
      await add(oldestKey, encodeNumber(restored));
      await add(revisionKey, encodeNumber(restored));
      await flush();
    },
    close: () => database.close(),
  };
}

// A CA that commits a thousand times a second takes fifty days for so many; a backup is younger than that.
const revisionsAbove = 2 ** 32;
const batchBytesMax = 1024 * 1024;
const batchItemsMax = 1000;
