/**
 * Retention: sealed segments are moved elsewhere, and the log proves their records without them.
 *
 * The copy is on the other disk and checked before the segment is removed, and the segment is marked as
 * moved before that: wherever this is interrupted, every record is in one place at least.
 */

import { copyFile, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makePrivateDirectory, replaceFile, syncDirectory } from '../../core/index.ts';
import { openArchiveMark } from './archive-mark.ts';
import { archivedMarkPath, readSegmentSeal } from './archived-segments.ts';
import { AuditError } from './audit-error.ts';
import { verifierPath } from './log-files.ts';
import { newestCheckpoint, verifierOf } from './prove.ts';
import { parseRecord } from './record-line.ts';
import { listSegments, readLines, type SegmentName } from './segment.ts';
import { digestOf, type SegmentSeal, segmentSealPath } from './segment-seal.ts';
import { tileWidth } from './tile.ts';
import { verifyAuditLog } from './verify.ts';

export interface ArchiveOptions {
  readonly directory: string;
  /** Where to; made with mode 0700 if it is missing. */
  readonly to: string;
  /** Segments whose last record is older than this are moved. */
  readonly beforeMs: number;
  readonly verifierKey?: string;
  /** Has the CA record that the segment is moved, and sign it: the signed note. */
  readonly signMark: (segment: {
    readonly firstIndex: number;
    readonly to: string;
  }) => Promise<string>;
}

export interface ArchivedSegment extends SegmentSeal {
  /** The file, by its name in the archive. */
  readonly name: string;
  readonly lastTime: string;
}

/**
 * Moves what may go; the segment now written never does, nor one whose end lies in a tile that is not full. The CA
 * may run meanwhile. Throws
 * {@link AuditError} `audit_archive_refused` when the log is not whole: then nothing was moved.
 */
export async function archiveAudit(options: ArchiveOptions): Promise<readonly ArchivedSegment[]> {
  const { directory, to } = options;
  const segments = await listSegments(directory);
  const { checkpoint } = await newestCheckpoint(options);
  const wholeTilesEnd = checkpoint.size - (checkpoint.size % tileWidth);
  const old: { segment: SegmentName; lastTime: string }[] = [];
  // The last one is being written. Oldest first, so that what stays has no holes.
  for (const [place, segment] of segments.slice(0, -1).entries()) {
    // A partial tile does not survive a power cut, and once the records are away nothing makes it again.
    const end = segments[place + 1]?.firstIndex ?? 0;
    if (end > wholeTilesEnd) break;
    const lastTime = await lastTimeOf(segment);
    if (!(Date.parse(lastTime) < options.beforeMs)) break;
    old.push({ segment, lastTime });
  }
  if (old.length === 0) return [];
  await requireWhole(options);
  await makePrivateDirectory(to);
  const moved: ArchivedSegment[] = [];
  for (const { segment, lastTime } of old) {
    moved.push({ name: basename(segment.path), lastTime, ...(await move(options, segment)) });
  }
  // So that whoever finds the archive alone can check it.
  await copyDurably(verifierPath(directory), to);
  const { note } = await newestCheckpoint(options);
  await replaceFile(join(to, 'checkpoint'), note, 0o644);
  return moved;
}

async function move(options: ArchiveOptions, segment: SegmentName): Promise<SegmentSeal> {
  const { directory, to } = options;
  const { firstIndex, path } = segment;
  const verifier = await verifierOf(options);
  const seal = await readSegmentSeal(directory, firstIndex, verifier);
  if (seal === undefined || seal === 'broken') {
    throw refused(`${basename(path)} has no sound seal`);
  }
  const copy = await copyDurably(path, to);
  await copyDurably(segmentSealPath(directory, firstIndex), to);
  const sha256 = (await digestOf(copy, seal.bytes + 1)).digest('hex');
  if (sha256 !== seal.sha256) throw refused(`the copy ${copy} is not what was sealed`);
  const mark = await options.signMark({ firstIndex, to });
  if (openArchiveMark(mark, verifier)?.sha256 !== sha256) {
    throw refused(`the CA that was asked is not the one whose log is in ${directory}`);
  }
  await replaceFile(archivedMarkPath(directory, firstIndex), mark, 0o644);
  await rm(path);
  await syncDirectory(directory);
  return seal;
}

/** What is moved will not be looked at again, so it must be sound, and so must what proves it. */
async function requireWhole(options: ArchiveOptions): Promise<void> {
  const { directory, verifierKey } = options;
  const verdict = await verifyAuditLog({
    directory,
    ...(verifierKey === undefined ? {} : { verifierKey }),
  });
  if (verdict.kind === 'broken') {
    throw refused(`${directory} is broken at record ${verdict.index}: ${verdict.detail}`);
  }
  if (verdict.tilesMissing > 0) throw refused(`${verdict.tilesMissing} tiles are not there`);
}

async function lastTimeOf({ path }: SegmentName): Promise<string> {
  let last: Uint8Array | undefined;
  for await (const { lines } of readLines(path)) last = lines.at(-1) ?? last;
  return (last === undefined ? undefined : parseRecord(last))?.time ?? '';
}

async function copyDurably(from: string, to: string): Promise<string> {
  const path = join(to, basename(from));
  await copyFile(from, `${path}.new`);
  const file = await open(`${path}.new`, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  await syncDirectory(dirname(path));
  return path;
}

function refused(detail: string): AuditError {
  return new AuditError('audit_archive_refused', `nothing more is archived: ${detail}`, {
    remedy: 'find what is wrong with signet audit verify; a start of the CA makes tiles again',
  });
}
