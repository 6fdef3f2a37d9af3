/** Resealing a CA that does not run: its data directory, the key it is sealed with, and the next one. */

import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Random, systemErrorCode } from '../../core/index.ts';
import {
  type KeyEncryptionKeySource,
  loadKeyEncryptionKey,
} from '../authority/key-encryption-key.ts';
import { resealStore } from '../authority/reseal.ts';
import { nameResourceFault } from '../guards/resource-fault.ts';
import { openLevelStore } from '../store/level-store.ts';
import { BackupError } from './backup-error.ts';

/**
 * How many sealed values now stand under the next key. Throws AuthorityError `kek_wrong` and the like
 * before anything is changed, StoreError `store_locked` while a CA runs on it.
 */
export async function resealData(p: {
  readonly data: string;
  readonly old: KeyEncryptionKeySource;
  readonly next: KeyEncryptionKeySource;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly random: Random;
}): Promise<number> {
  const keys = {
    old: await loadKeyEncryptionKey(p.old, p.environment),
    next: await loadKeyEncryptionKey(p.next, p.environment),
  };
  const directory = join(p.data, 'store');
  // Opening a store makes one where there is none.
  await access(directory).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new BackupError('backup_nothing', `${p.data} holds no CA`, {
      remedy: "give the CA's data directory",
    });
  });
  // One revision kept: the events before it hold values under the old seal.
  const store = await openLevelStore({ directory, eventRevisionsKept: 1 });
  try {
    return await resealStore(store, keys, p.random);
  } catch (error) {
    throw nameResourceFault(error);
  } finally {
    await store.close();
  }
}
