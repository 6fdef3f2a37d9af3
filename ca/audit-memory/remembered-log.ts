/**
 * An audit log that the CA's store remembers: a log that vanished, was put back to an earlier day or was
 * swapped for another is refused at the start, instead of being begun anew in silence.
 *
 * Order: a checkpoint is on the disk before the store hears of it, so wherever a crash falls the log is
 * ahead of what is remembered, never behind.
 */

import { createPublicKey } from 'node:crypto';
import { describeError, formatDurationMs, type Logger, type Timer } from '../../core/index.ts';
import type { Store } from '../store/store.ts';
import { AuditError } from '../audit/audit-error.ts';
import { signArchiveMark } from '../audit/archive-mark.ts';
import { readSegmentSeal } from '../audit/archived-segments.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { type Checkpoint, openCheckpoint } from '../audit/checkpoint.ts';
import type { Actor } from '../audit/event.ts';
import { type AuditLogOptions, openAuditLog } from '../audit/log.ts';
import { checkpointPath, readIfPresent } from '../audit/log-files.ts';
import { formatLogMemory, type LogMemory, logMemoryKey, readLogMemory } from './log-memory.ts';
import type { NoteVerifier } from '../audit/signed-note.ts';
import { readRecords } from '../audit/tail.ts';

export interface RememberedLogOptions extends Omit<AuditLogOptions, 'known'> {
  readonly store: Pick<Store, 'get' | 'commit'>;
  readonly log: Logger;
  /** No certificate or token that a record names lives longer than this after it: until then it stays. */
  readonly archivableAfterMs: number;
}

/** What else only the holder of the log's key can do. */
export interface ArchiveMarker {
  /**
   * Records that a sealed segment was copied to `to`, and signs it: from then on it may be missing. Throws
   * {@link AuditError} `audit_archive_refused` when there is no such segment, or when what it
   * issued may still live: a restart finds again in the files what can be revoked.
   */
  markArchived(segment: ArchivedWhere, actor: Actor): Promise<string>;
}

export interface ArchivedWhere {
  readonly firstIndex: number;
  readonly to: string;
}

/**
 * Opens the log, records what a restore or a restart left to be said, and from then on keeps the store's
 * memory of it fresh. Close it before the store. Throws {@link AuditError} as `openAuditLog` does.
 */
export async function openRememberedLog(
  options: RememberedLogOptions,
): Promise<AuditLog & ArchiveMarker> {
  const { store, origin, signKey, directory } = options;
  const verifier = { name: origin, publicKey: createPublicKey(signKey) };
  const memory = await readLogMemory(store);
  const known =
    memory?.checkpoint === undefined ? undefined : openKnown(memory.checkpoint, verifier);
  const audit = await openAuditLog({ ...options, known });
  try {
    if (memory?.pending !== undefined)
      await recordPending(options.directory, audit, memory.pending);
    const keeper = new MemoryKeeper(options, verifier, known?.size ?? -1);
    await keeper.remember(memory?.pending !== undefined);
    keeper.start();
    return {
      append: (event) => audit.append(event),
      size: () => audit.size(),
      rootHash: () => audit.rootHash(),
      async markArchived({ firstIndex, to }, actor) {
        const seal = await readSegmentSeal(directory, firstIndex, verifier);
        if (seal === undefined || seal === 'broken') throw noSegment(firstIndex);
        const { records, sha256 } = seal;
        await requireEnded(options, firstIndex + records - 1);
        const segment = { firstIndex, records, sha256 };
        const { index } = await audit.append({
          actor,
          type: 'audit.segment_archived',
          segment,
          to,
        });
        return signArchiveMark(segment, index, origin, signKey);
      },
      async close() {
        await keeper.stop();
        await audit.close();
        await keeper.remember();
      },
    };
  } catch (error) {
    await audit.close();
    throw error;
  }
}

function noSegment(firstIndex: number): AuditError {
  return new AuditError(
    'audit_archive_refused',
    `no full segment with a sound seal begins at record ${firstIndex}`,
    { remedy: 'archive with signet audit archive, which knows the segments' },
  );
}

/** Whether all that a segment issued has ended, by its last record. */
async function requireEnded(options: RememberedLogOptions, lastIndex: number): Promise<void> {
  const { directory, clock, archivableAfterMs } = options;
  const [last] = await readRecords({ directory, from: lastIndex, limit: 1 });
  if (last?.index !== lastIndex) throw noSegment(lastIndex);
  if (Date.parse(last.time) + archivableAfterMs < clock.wallMs()) return;
  const untilMs = Date.parse(last.time) + archivableAfterMs;
  throw new AuditError(
    'audit_archive_refused',
    `the segment that ends with record ${lastIndex} (${last.time}) stays: what it issued may live, ` +
      `and be revoked, until ${new Date(untilMs).toISOString()}`,
    { remedy: `archive only what is older than ${formatDurationMs(archivableAfterMs)}` },
  );
}

function openKnown(note: string, verifier: NoteVerifier): Checkpoint {
  const verdict = openCheckpoint(note, verifier);
  if (verdict.kind === 'signed') return verdict.checkpoint;
  throw new AuditError(
    'audit_key_mismatch',
    `the checkpoint that the store remembers is not one that ${verifier.name} signed`,
    { remedy: 'restore the CA from a backup' },
  );
}

/** Once, even if a crash came between the record and the store's knowing of it. */
async function recordPending(
  directory: string,
  audit: AuditLog,
  pending: NonNullable<LogMemory['pending']>,
): Promise<void> {
  const { type } = pending;
  const from = type === 'ca.restored' ? pending.checkpoint.size : 0;
  const first = await readRecords({ directory, from, limit: pendingRecordsMax });
  if (first.some((record) => record.type === type)) return;
  await audit.append({ actor: { kind: 'system', id: 'ca' }, ...pending });
}

class MemoryKeeper {
  readonly #options: RememberedLogOptions;
  readonly #verifier: NoteVerifier;
  #size: number;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;
  #hasFailed = false;

  constructor(options: RememberedLogOptions, verifier: NoteVerifier, size: number) {
    this.#options = options;
    this.#verifier = verifier;
    this.#size = size;
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.clock.after(rememberEveryMs, () => {
      this.#running = this.remember().then(() => this.start());
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** Never rejects: what is remembered stays older for a while, which is no fault. */
  async remember(isForced = false): Promise<void> {
    const { directory, store, log } = this.#options;
    try {
      const note = (await readIfPresent(checkpointPath(directory))) ?? '';
      const verdict = openCheckpoint(note, this.#verifier);
      if (verdict.kind === 'refused') throw new Error(`its checkpoint is no longer ours`);
      const { size } = verdict.checkpoint;
      if (size <= this.#size && !isForced) return;
      const value = formatLogMemory({ checkpoint: note });
      await store.commit({ puts: [{ key: logMemoryKey, value }] });
      this.#size = size;
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) {
        log.warn('the store could not remember the audit log', { reason: describeError(error) });
      }
      this.#hasFailed = true;
    }
  }
}

// As much of the log's end as could vanish unnoticed after a crash; a clean stop leaves nothing.
const rememberEveryMs = 10_000;
// A torn end is recorded first, and a crash may have repeated the start a few times.
const pendingRecordsMax = 16;
