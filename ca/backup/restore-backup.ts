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
import { CodedError, readText, syncDirectory, systemErrorCode } from '../../core/index.ts';
import { checkpointPath } from '../audit/log-files.ts';
import { formatLogMemory, logMemoryKey, parseLogMemory } from '../audit-memory/log-memory.ts';
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
    const restored = await writeAll(bytes, beside);
    await takeName(beside, data);
    return restored;
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

async function writeAll(bytes: AsyncIterable<Uint8Array>, beside: string): Promise<Restored> {
  const counts = { items: 0, tokensDropped: 0 };
  const backup = { createdAt: '', revision: 0, sha256: '' };
  const audit = join(beside, 'audit');
  await mkdir(audit, { mode: 0o700 });
  let store: RestoringStore | undefined;
  let known: string | undefined;
  let file: FileHandle | undefined;
  try {
    for await (const line of readBackup(bytes)) {
      switch (line.kind) {
        case 'begin':
          backup.createdAt = line.createdAt;
          backup.revision = line.revision;
          store = await restoreLevelStore(join(beside, 'store'), line.revision);
          break;
        case 'item': {
          if (line.key === logMemoryKey) {
            known = parseLogMemory(line.value).checkpoint;
            break;
          }
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
        case 'end':
          backup.sha256 = line.sha256;
          break;
      }
    }
    // Only now is the whole known to be what was backed up.
    const { size, rootHash } = await verifiedLog(audit, known);
    const value = formatLogMemory({
      checkpoint: await readText(checkpointPath(audit)),
      pending: { type: 'ca.restored', backup, checkpoint: { size, rootHash } },
    });
    await store?.put({ key: logMemoryKey, value, createRevision: 1, modRevision: 1 }, true);
    await store?.finish();
    return { ...counts, createdAt: backup.createdAt, auditRecords: size, rootHash };
  } finally {
    await file?.close();
    await store?.close();
  }
}

/** The log must be whole, and no older than what the store of the backup remembers of it. */
async function verifiedLog(
  directory: string,
  known: string | undefined,
): Promise<{ readonly size: number; readonly rootHash: string }> {
  const verdict = await verifyAuditLog({
    directory,
    ...(known === undefined ? {} : { knownCheckpoint: known }),
  });
  if (verdict.kind === 'ok') return verdict;
  throw new BackupError(
    'backup_audit_broken',
    `the audit log of the backup is broken at record ${verdict.index}: ${verdict.detail}`,
    { remedy: 'use another backup' },
  );
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
  const code = systemErrorCode(cause) ?? '';
  // What whoever gave the command can mend, apart from a disk that fails.
  const kind = ['ENOENT', 'ENOTDIR', 'EACCES', 'EROFS'].includes(code)
    ? 'restore_target'
    : 'restore_failed';
  return new BackupError(kind, `${data} cannot be restored`, {
    cause,
    remedy: 'check that its parent directory exists and is writable',
  });
}

// As the log itself makes them: whoever may enter the directory may check the log.
const publicFiles: ReadonlySet<string> = new Set(['checkpoint', 'verifier.pub']);
