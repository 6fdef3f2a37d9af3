/** A backup of a CA, made while it runs or stands still: the store first, then an audit log no older than it. */

import { createHash } from 'node:crypto';
import { type Clock, sleep } from '../../core/index.ts';
import type { Store } from '../store/store.ts';
import { type SnapshotFile, snapshotAuditLog } from './audit-snapshot.ts';
import { BackupError } from './backup-error.ts';
import { type BackupLine, encodeLine } from './backup-format.ts';

export interface BackupDeps {
  readonly store: Pick<Store, 'range'>;
  readonly auditDirectory: string;
  /** How many records the log has now; what the store says must not be ahead of what the log says. */
  readonly auditSize: () => number;
  readonly clock: Clock;
}

/**
 * The bytes of a backup, in order. Everything that can be refused is refused before the first of them.
 * Throws {@link BackupError}, StoreError.
 */
export async function createBackup(deps: BackupDeps): Promise<AsyncIterable<Uint8Array>> {
  const { items, revision } = await deps.store.range({ prefix: '' });
  const files = await coveringFiles(deps, deps.auditSize());
  const createdAt = new Date(deps.clock.wallMs()).toISOString();
  const lines = async function* (): AsyncGenerator<BackupLine> {
    yield { kind: 'begin', format: 'signet-backup', version: 1, createdAt, revision };
    for (const item of items) yield { kind: 'item', ...item };
    for (const file of files) yield* fileLines(file);
  };
  return sealed(lines(), { items: items.length, files: files.length });
}

async function* fileLines(file: SnapshotFile): AsyncGenerator<BackupLine> {
  yield { kind: 'file', path: file.path };
  const digest = createHash('sha256');
  let bytes = 0;
  for await (const data of file.parts()) {
    digest.update(data);
    bytes += data.length;
    yield { kind: 'part', data };
  }
  yield { kind: 'fileEnd', bytes, sha256: digest.digest('hex') };
}

async function* sealed(
  lines: AsyncIterable<BackupLine>,
  counts: { readonly items: number; readonly files: number },
): AsyncGenerator<Uint8Array> {
  const digest = createHash('sha256');
  for await (const line of lines) {
    const bytes = encodeLine(line);
    digest.update(bytes);
    yield bytes;
  }
  yield encodeLine({ kind: 'end', ...counts, sha256: digest.digest('hex') });
}

/** The checkpoint is written a moment after the records that it covers. */
async function coveringFiles(
  { auditDirectory, clock }: BackupDeps,
  sizeMin: number,
): Promise<readonly SnapshotFile[]> {
  const endMs = clock.monotonicMs() + checkpointMsMax;
  for (;;) {
    const files = await snapshotAuditLog(auditDirectory, sizeMin);
    if (files !== undefined) return files;
    if (clock.monotonicMs() > endMs) {
      throw new BackupError(
        'backup_audit_lags',
        `the audit log's checkpoint does not cover its ${sizeMin} records`,
        { remedy: 'check that the disk of the audit log can be written' },
      );
    }
    await sleep(clock, checkpointWaitMs);
  }
}

// A checkpoint takes a sync of the disk; one that takes longer than this has failed.
const checkpointMsMax = 5000;
const checkpointWaitMs = 20;
