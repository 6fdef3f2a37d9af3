/** A backup of a CA that does not run, from its data directory alone; no key-encryption key is needed. */

import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemErrorCode } from '../../core/index.ts';
import { openLevelStore } from '../store/level-store.ts';
import { BackupError } from './backup-error.ts';
import { createBackup } from './create-backup.ts';

/** Throws {@link BackupError}, or StoreError `store_locked` if a CA runs on it after all. */
export async function* offlineBackup(data: string, clock: Clock): AsyncGenerator<Uint8Array> {
  const directory = join(data, 'store');
  // Opening a store makes one where there is none.
  await access(directory).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new BackupError('backup_nothing', `${data} holds no CA`, {
      remedy: "give the CA's data directory",
    });
  });
  const store = await openLevelStore({ directory });
  try {
    // What a crash left unsigned at the log's end is not waited for: nobody will sign it.
    const auditSize = (): number => 0;
    yield* await createBackup({ store, auditDirectory: join(data, 'audit'), auditSize, clock });
  } finally {
    await store.close();
  }
}
