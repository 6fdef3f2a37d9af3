/**
 * Checking a log from its files alone: every record, the chain between them, the Merkle root, the tiles
 * and the signature under it. It needs no store and no running CA, and reads with a fixed memory.
 */

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { archivedSegments, readSegmentSeal } from './archived-segments.ts';
import { AuditError } from './audit-error.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { checkpointPath, readIfPresent, verifierPath } from './log-files.ts';
import { type AuditVerdict, type Broken, broken, LogWalk } from './log-walk.ts';
import { tileHashes } from './leaf-hashes.ts';
import { listSegments, listSegmentsIn, readLines, type SegmentName } from './segment.ts';
import { parseVerifier } from './parse-verifier.ts';
import { type NoteVerifier, parseVerifierKey } from './signed-note.ts';
import { TileCheck, type TileFindings } from './tile-check.ts';

export type { AuditVerdict } from './log-walk.ts';

export interface VerifyOptions {
  readonly directory: string;
  /**
   * The key that must have signed, as published in `verifier.pub`. Without it the directory's own
   * copy is used, which shows that the log is whole but not who wrote it.
   */
  readonly verifierKey?: string;
  /** An earlier checkpoint, kept elsewhere: the log must still begin with what it signed. */
  readonly knownCheckpoint?: string;
  /** Where sealed segments were moved: they are read there as if they had stayed. */
  readonly archive?: string;
}

/** Throws {@link AuditError} only when the files cannot be read or `verifierKey` is no key. */
export async function verifyAuditLog(options: VerifyOptions): Promise<AuditVerdict> {
  const { directory } = options;
  const verifier = await readVerifier(options);
  if ('kind' in verifier) return verifier;
  // Before the records are listed: whatever it covers is on the disk by then, even of a live log.
  const note = await readIfPresent(checkpointPath(directory));
  const segments = await listSegmentsIn(options);
  if (note === undefined) return broken('no_checkpoint', 0, `${directory} has no checkpoint`);
  const checkpoint = openOrFault(note, verifier, 'the checkpoint');
  if ('kind' in checkpoint) return checkpoint;
  const known = openKnown(options.knownCheckpoint, verifier);
  if (known !== undefined && 'kind' in known) return known;
  const tiles = new TileCheck(directory);
  const walk = new LogWalk(checkpoint, known, (leafHash) => tiles.add(leafHash));
  const verdict = (await walkSegments({ options, verifier, segments, walk, tiles })) ?? walk.end();
  return withTiles(verdict, walk, await tiles.end());
}

interface Walking {
  readonly options: VerifyOptions;
  readonly verifier: NoteVerifier;
  readonly segments: readonly SegmentName[];
  readonly walk: LogWalk;
  readonly tiles: TileCheck;
}

async function walkSegments(walking: Walking): Promise<Broken | undefined> {
  const { options, verifier, segments, walk, tiles } = walking;
  const archived = await archivedSegments(options.directory, verifier);
  for (const [place, { path, firstIndex }] of segments.entries()) {
    const gap =
      (await walkArchived(walking, archived, firstIndex)) ?? walk.beginSegment(firstIndex);
    if (gap !== undefined) return gap;
    const digest = createHash('sha256');
    for await (const { lines, torn } of readLines(path)) {
      for (const line of lines) {
        digest.update(line).update('\n');
        const fault = walk.line(line);
        if (fault !== undefined) return fault;
      }
      await tiles.compare();
      const fault = torn === undefined ? undefined : walk.torn();
      if (fault !== undefined) return fault;
    }
    // The last segment is being written: a seal of it is from a roll that did not come to its end.
    if (place === segments.length - 1) return forgedMark(archived);
    const seal = await readSegmentSeal(options.directory, firstIndex, verifier);
    if (seal === 'broken' || (seal !== undefined && seal.sha256 !== digest.digest('hex'))) {
      return broken('bad_seal', firstIndex, `the seal of ${basename(path)} is not that file's`);
    }
  }
  return forgedMark(archived);
}

type Archived = Awaited<ReturnType<typeof archivedSegments>>;

function forgedMark(archived: Archived): Broken | undefined {
  const found = [...archived].find(([, mark]) => mark === 'forged');
  return found === undefined ? undefined : badMark(found[0]);
}

function badMark(firstIndex: number): Broken {
  const detail = `that the segment at record ${firstIndex} was archived is not signed by the log`;
  return broken('bad_mark', firstIndex, detail);
}

/** Steps over the segments up to `end` that were archived, by what the tiles and their seals say. */
async function walkArchived(
  { options, verifier, walk, tiles }: Walking,
  archived: Archived,
  end: number,
): Promise<Broken | undefined> {
  const { directory } = options;
  for (let start = walk.index(); start < end && archived.has(start); start = walk.index()) {
    const mark = archived.get(start);
    if (mark === 'forged') return badMark(start);
    const seal = await readSegmentSeal(directory, start, verifier);
    if (seal === undefined || seal === 'broken' || seal.sha256 !== mark?.sha256) {
      return broken('bad_seal', start, `the seal of the archived segment ${start} is not sound`);
    }
    try {
      for await (const leafHash of tileHashes(directory, start, start + seal.records)) {
        const fault = walk.archivedLeaf(leafHash);
        if (fault !== undefined) return fault;
      }
    } catch (error) {
      if (!(error instanceof AuditError) || error.code !== 'audit_tile_missing') throw error;
      return broken('tile_missing', walk.index(), error.message);
    }
    await tiles.compare();
  }
  return undefined;
}

/** What the records say comes first: a tile is at fault only where they are those that were signed. */
function withTiles(verdict: AuditVerdict, walk: LogWalk, findings: TileFindings): AuditVerdict {
  const { edited, missing } = findings;
  // Of archived records there is nothing but tiles, so a wrong root is a wrong tile.
  const mayBeTile = verdict.kind === 'ok' || (verdict.code === 'forked' && walk.archived() > 0);
  if (edited !== undefined && mayBeTile) {
    return broken('tile_edited', edited.index, `${edited.path} does not hold what was signed`);
  }
  return verdict.kind === 'ok' ? { ...verdict, tilesMissing: missing } : verdict;
}

async function readVerifier(options: VerifyOptions): Promise<NoteVerifier | Broken> {
  if (options.verifierKey !== undefined) return parseVerifier(options.verifierKey);
  const text = await readIfPresent(verifierPath(options.directory));
  if (text === undefined) {
    // A directory that is not there at all is the caller's slip, not a broken log.
    await listSegments(options.directory);
    return broken('bad_key', 0, `${options.directory} has no verifier.pub`);
  }
  return parseVerifierKey(text.trim()) ?? broken('bad_key', 0, 'verifier.pub holds no key');
}

function openKnown(
  note: string | undefined,
  verifier: NoteVerifier,
): Checkpoint | Broken | undefined {
  return note === undefined ? undefined : openOrFault(note, verifier, 'the known checkpoint');
}

function openOrFault(note: string, verifier: NoteVerifier, what: string): Checkpoint | Broken {
  const verdict = openCheckpoint(note, verifier);
  if (verdict.kind === 'signed') return verdict.checkpoint;
  if (verdict.code === 'note_signature') {
    return broken('bad_signature', 0, `the signature of ${what} is wrong`);
  }
  return verdict.code === 'note_unsigned'
    ? broken('bad_signature', 0, `${what} is not signed by ${verifier.name}`)
    : broken('bad_checkpoint', 0, `${what} is not one of ${verifier.name}`);
}
