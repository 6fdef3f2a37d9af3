/**
 * Restoring a CA into a new data directory. It is written beside it and takes its name at the very end,
 * so that whatever goes wrong leaves nothing that could be taken for a CA.
 */

import {
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  rmdir,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CodedError, syncDirectory, systemErrorCode } from '../../core/index.ts';
import { verifyAuditLog } from '../audit/verify.ts';
import { nameResourceFault } from '../guards/resource-fault.ts';
import { type RestoringStore, restoreLevelStore } from '../store/restore-level-store.ts';
import { BackupError } from './backup-error.ts';
import { carryOver } from './carry-over.ts';
import { readBackup } from './read-backup.ts';

export interface Restored {
  readonly createdAt: string;
  readonly items: number;
  /** Join tokens that nobody had used by then; they are not restored. */
  readonly tokensDropped: number;
  readonly auditRecords: number;
  readonly rootHash: string;
}

/**
 * Restores what `bytes` hold into `data`, which must be missing or empty. Throws {@link BackupError},
 * StoreError, or ResourceFault when the disk is full; nothing is left behind then.
 */
export async function restoreBackup(
  bytes: AsyncIterable<Uint8Array>,
  data: string,
): Promise<Restored> {
  await checkTarget(data);
  const beside = await mkdtemp(join(dirname(data), `.${basename(data)}.restore-`)).catch(
    (error: unknown) => {
      throw failed(data, error);
    },
  );
  try {
    const counts = await writeAll(bytes, beside);
    const verdict = await verifyAuditLog({ directory: join(beside, 'audit') });
    if (verdict.kind === 'broken') {
      throw new BackupError(
        'backup_audit_broken',
        `the audit log of the backup is broken at record ${verdict.index}: ${verdict.detail}`,
        { remedy: 'use another backup' },
      );
    }
    await takeName(beside, data);
    return { ...counts, auditRecords: verdict.size, rootHash: verdict.rootHash };
  } catch (error) {
    await rm(beside, { recursive: true, force: true });
    const named = nameResourceFault(error);
    throw named instanceof CodedError ? named : failed(data, named);
  }
}

async function checkTarget(data: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(data);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw failed(data, error);
  }
  if (names.length === 0) return;
  throw new BackupError('restore_target', `${data} is not empty`, {
    remedy: 'give a directory that does not exist yet, or move the old one away',
  });
}

type Counts = Pick<Restored, 'createdAt' | 'items' | 'tokensDropped'>;

async function writeAll(bytes: AsyncIterable<Uint8Array>, beside: string): Promise<Counts> {
  const counts = { createdAt: '', items: 0, tokensDropped: 0 };
  const audit = join(beside, 'audit');
  await mkdir(audit, { mode: 0o700 });
  let store: RestoringStore | undefined;
  let file: FileHandle | undefined;
  try {
    for await (const line of readBackup(bytes)) {
      switch (line.kind) {
        case 'begin':
          counts.createdAt = line.createdAt;
          store = await restoreLevelStore(join(beside, 'store'), line.revision);
          break;
        case 'item': {
          const item = carryOver(line);
          if (item === undefined) counts.tokensDropped += 1;
          else {
            counts.items += 1;
            await store?.put(item, item !== line);
          }
          break;
        }
        case 'file': {
          const path = join(audit, line.path);
          await mkdir(dirname(path), { recursive: true, mode: 0o700 });
          file = await open(path, 'wx', publicFiles.has(line.path) ? 0o644 : 0o600);
          break;
        }
        case 'part':
          await file?.writeFile(line.data);
          break;
        case 'fileEnd':
          await file?.sync();
          await file?.close();
          file = undefined;
          break;
      }
    }
    // Only now is the whole known to be what was backed up.
    await store?.finish();
  } finally {
    await file?.close();
    await store?.close();
  }
  return counts;
}

async function takeName(beside: string, data: string): Promise<void> {
  await syncDirectory(join(beside, 'audit'));
  await syncDirectory(beside);
  try {
    await rmdir(data);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EBUSY') {
      throw new BackupError('restore_target', `${data} is where a file system is mounted`, {
        remedy: 'give a directory below it, and name that as `data` in the config',
      });
    }
    if (code !== 'ENOENT') throw error;
  }
  await rename(beside, data);
  await syncDirectory(dirname(data));
}

function failed(data: string, cause: unknown): BackupError {
  return new BackupError('restore_failed', `${data} cannot be restored`, {
    cause,
    remedy: 'check that its parent directory exists and is writable',
  });
}

// As the log itself makes them: whoever may enter the directory may check the log.
const publicFiles: ReadonlySet<string> = new Set(['checkpoint', 'verifier.pub']);
