/**
 * The audit log on a disk: records in segments, a Merkle tree over them in tiles, and a signed
 * checkpoint.
 *
 * Appends are group-committed: what arrives while a sync runs shares the next one. A failed write
 * fails every waiter, and its bytes are cut off before anything else is written.
 */

import { createHash, createPublicKey, type Hash, type KeyObject } from 'node:crypto';
import {
  type Clock,
  concatBytes,
  GroupCommit,
  makePrivateDirectory,
  replaceFile,
  toHex,
} from '../../core/index.ts';
import { AuditError } from './audit-error.ts';
import type { Appended, AuditLog } from './audit-log.ts';
import type { AuditEvent } from './event.ts';
import { checkpointPath, verifierPath } from './log-files.ts';
import { emptyLog, formatSegmentTree, type LogState } from './log-state.ts';
import { openTiles } from './open-tiles.ts';
import { appendLeaf, leafHashOf, rootHashOf } from './merkle.ts';
import type { Checkpoint } from './checkpoint.ts';
import { checkHistory, checkLength, checkPresence } from './remembered-checkpoint.ts';
import { formatRecord } from './record-line.ts';
import { type Recovery, recoverLog } from './recover.ts';
import { Sealer } from './sealer.ts';
import { digestOf, segmentSealPath, signSegmentSeal } from './segment-seal.ts';
import { segmentPath, segmentTreePath, unreadable } from './segment.ts';
import { type OpenSegmentFile, openSegmentFile, type SegmentFile } from './segment-file.ts';
import { formatVerifierKey, isNoteName } from './signed-note.ts';
import type { TileWriter } from './tile-writer.ts';

/** What is written together while records keep coming. One that comes by itself waits for nothing. */
export interface AuditPace {
  /** How far apart the syncs of records begin. */
  readonly groupMs: number;
  /** How far apart checkpoints begin, with the tiles that they need. */
  readonly checkpointMs: number;
}

/** A certificate waits at most four milliseconds for company, and a proof of it a tenth of a second. */
export const usualPace: AuditPace = { groupMs: 4, checkpointMs: 100 };

export interface AuditLogOptions {
  /** The log's own directory, made with mode 0700 if it is missing. One process at a time. */
  readonly directory: string;
  readonly clock: Clock;
  /** Ed25519; signs checkpoints. */
  readonly signKey: KeyObject;
  /** The log's name in checkpoints, such as `mesh.test/signet/audit`. */
  readonly origin: string;
  /** What was signed before, as somebody else remembers it: the log must begin with it. */
  readonly known?: Checkpoint | undefined;
  /** Absent: every record is written, and every group sealed, as soon as the disk is free. */
  readonly pace?: AuditPace | undefined;
  readonly segmentBytesMax?: number | undefined;
  readonly queueMax?: number;
  readonly openFile?: OpenSegmentFile;
}

/**
 * Opens or begins a log. Throws {@link AuditError}: `audit_broken` when what is on the disk is not
 * what was signed, `audit_key_mismatch` when another key signed it, and `audit_lost`, `audit_behind` or
 * `audit_forked` when it does not begin with what is known.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { directory, origin, signKey, known } = options;
  if (!isNoteName(origin)) {
    throw new AuditError(
      'audit_origin_invalid',
      `${JSON.stringify(origin)} cannot name a log: no spaces, no plus sign`,
    );
  }
  const verifier = { name: origin, publicKey: createPublicKey(signKey) };
  if (known !== undefined) await checkPresence(directory, known);
  await makePrivateDirectory(directory).catch((error: unknown) => {
    throw unreadable(directory, error);
  });
  const recovery = await recoverLog(directory, verifier);
  const state = recovery.kind === 'new' ? emptyLog : recovery.state;
  if (known !== undefined) checkLength(directory, state.tree.size, known);
  const tiles = await openTiles(directory, state.tree);
  if (known !== undefined) await checkHistory(directory, state.tree, known);
  const sealer = new Sealer({
    path: checkpointPath(directory),
    origin,
    signKey,
    sealedSize: recovery.kind === 'new' ? undefined : recovery.checkpoint.size,
    before: () => tiles.flush(),
    clock: options.clock,
    everyMs: options.pace?.checkpointMs ?? 0,
  });
  await replaceFile(verifierPath(directory), `${formatVerifierKey(verifier)}\n`, 0o644);
  return startLog(options, recovery, { sealer, tiles });
}

/** What makes a log provable, beside its records. */
interface Evidence {
  readonly sealer: Sealer;
  readonly tiles: TileWriter;
}

async function startLog(
  options: AuditLogOptions,
  recovery: Recovery,
  evidence: Evidence,
): Promise<AuditLog> {
  const state = recovery.kind === 'new' ? emptyLog : recovery.state;
  // Before the first record: from now on a missing checkpoint means that one was taken away.
  await evidence.sealer.seal(state.tree);
  const openFile = options.openFile ?? openSegmentFile;
  const path = segmentPath(options.directory, state.segmentFirstIndex);
  const digest = await digestOf(path, state.segmentBytes);
  const file = await openFile(path);
  const log = new FileAuditLog(options, { state, file, digest }, evidence);
  const bytesCut = recovery.kind === 'new' ? 0 : recovery.tornBytes;
  if (bytesCut === 0) return log;
  try {
    await file.truncate(state.segmentBytes);
    await log.append({ type: 'audit.recovered', actor: { kind: 'system', id: 'audit' }, bytesCut });
    return log;
  } catch (error) {
    await file.close();
    throw error;
  }
}

class FileAuditLog implements AuditLog {
  readonly #options: AuditLogOptions;
  readonly #sealer: Sealer;
  readonly #tiles: TileWriter;
  /** A record that is too large fails alone; a failed write fails its whole group. */
  readonly #appends: GroupCommit<AuditEvent, Appended | AuditError>;
  #state: LogState;
  #file: SegmentFile;
  /** SHA-256 of the durable records of the segment now written. */
  #digest: Hash;
  /** A write failed: bytes past the durable end may be there, and must go first. */
  #isTorn = false;
  #isClosed = false;

  constructor(
    options: AuditLogOptions,
    place: { readonly state: LogState; readonly file: SegmentFile; readonly digest: Hash },
    { sealer, tiles }: Evidence,
  ) {
    this.#options = options;
    this.#state = place.state;
    this.#file = place.file;
    this.#digest = place.digest;
    this.#sealer = sealer;
    this.#tiles = tiles;
    const queueMax = options.queueMax ?? queueMaxDefault;
    this.#appends = new GroupCommit({
      groupMax,
      queueMax,
      gatherMs: options.pace?.groupMs,
      write: (events) => this.#write(events),
      fullError: () =>
        new AuditError('audit_queue_full', `${queueMax} records wait for the audit log`, {
          remedy: 'try again later',
        }),
    });
  }

  size(): number {
    return this.#state.tree.size;
  }

  rootHash(): Uint8Array {
    return rootHashOf(this.#state.tree);
  }

  async append(event: AuditEvent): Promise<Appended> {
    if (this.#isClosed) throw new AuditError('audit_closed', 'the audit log is closed');
    const result = await this.#appends.add(event);
    if (result instanceof AuditError) throw result;
    return result;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#appends.drained();
    try {
      await this.#sealer.seal(this.#state.tree);
    } finally {
      await this.#file.close();
    }
  }

  async #write(events: readonly AuditEvent[]): Promise<readonly (Appended | AuditError)[]> {
    try {
      await this.#repair();
      await this.#rollIfFull();
      return await this.#writeGroup(events);
    } catch (error) {
      if (error instanceof AuditError) throw error;
      throw new AuditError('audit_write_failed', 'the audit log cannot be written', {
        cause: error,
        remedy: `check that the disk of ${this.#options.directory} has free space`,
      });
    }
  }

  async #writeGroup(events: readonly AuditEvent[]): Promise<readonly (Appended | AuditError)[]> {
    let { tree, previous } = this.#state;
    const parts: Uint8Array[] = [];
    const timeMs = this.#options.clock.wallMs();
    const results = events.map((event): Appended | AuditError => {
      const line = formatRecord(event, { index: tree.size, timeMs, previous });
      if (line instanceof AuditError) return line;
      const leafHash = leafHashOf(line);
      const index = tree.size;
      parts.push(line, newline);
      tree = appendLeaf(tree, leafHash);
      previous = toHex(leafHash);
      return { index, leafHash };
    });
    const bytes = concatBytes(...parts);
    await this.#writeDurably(bytes);
    const segmentBytes = this.#state.segmentBytes + bytes.length;
    this.#state = { ...this.#state, tree, previous, segmentBytes };
    this.#digest.update(bytes);
    for (const result of results) {
      if (!(result instanceof AuditError)) this.#tiles.add(result.leafHash);
    }
    this.#sealer.request(tree);
    return results;
  }

  async #writeDurably(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    this.#isTorn = true;
    await this.#file.write(bytes, this.#state.segmentBytes);
    await this.#file.sync();
    this.#isTorn = false;
  }

  /** Undoes what a failed write left, and does not go on without a checkpoint that once failed. */
  async #repair(): Promise<void> {
    if (this.#isTorn) {
      await this.#file.truncate(this.#state.segmentBytes);
      await this.#file.sync();
      this.#isTorn = false;
    }
    if (this.#sealer.hasFailed()) await this.#sealer.seal(this.#state.tree);
  }

  async #rollIfFull(): Promise<void> {
    if (this.#state.segmentBytes < (this.#options.segmentBytesMax ?? segmentBytesMaxDefault))
      return;
    const { directory, origin, signKey, openFile = openSegmentFile } = this.#options;
    const { segmentFirstIndex, segmentBytes } = this.#state;
    const firstIndex = this.#state.tree.size;
    // Sealed first: opening reads the last segment alone, and must find the checkpoint within it.
    await this.#sealer.seal(this.#state.tree);
    const seal = {
      firstIndex: segmentFirstIndex,
      records: firstIndex - segmentFirstIndex,
      bytes: segmentBytes,
      sha256: this.#digest.copy().digest('hex'),
    };
    await replaceFile(
      segmentSealPath(directory, segmentFirstIndex),
      signSegmentSeal(seal, origin, signKey),
      0o644,
    );
    const next = { ...this.#state, segmentFirstIndex: firstIndex, segmentBytes: 0 };
    await replaceFile(segmentTreePath(directory, firstIndex), formatSegmentTree(next));
    const file = await openFile(segmentPath(directory, firstIndex));
    const full = this.#file;
    this.#file = file;
    this.#state = next;
    this.#digest = createHash('sha256');
    await full.close();
  }
}

const newline = new Uint8Array([0x0a]);
// Large enough to keep the disk busy, small enough that the first of a group does not wait long.
const groupMax = 512;
// Past this the disk is hopelessly behind, and a fast refusal serves callers better than a wait.
const queueMaxDefault = 10_000;
// Opening the log reads one segment: at 700 bytes a record this is about a tenth of a second.
const segmentBytesMaxDefault = 64 * 1024 * 1024;
