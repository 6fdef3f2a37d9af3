/**
 * Opening a log that stood before: what is on the disk must be what the checkpoint signed.
 *
 * A crash can only leave the end of the last write unfinished, past the checkpoint: that is cut
 * off. Anything else was done by somebody, and the log refuses to open over it.
 */

import { equalBytes } from '../../core/index.ts';
import { AuditError } from './audit-error.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { checkpointPath, readIfPresent } from './log-files.ts';
import { emptyLog, type LogState, parseSegmentTree } from './log-state.ts';
import { appendLeaf, rootHashOf } from './merkle.ts';
import { ChainReader } from './record-line.ts';
import { listSegments, readLines, type SegmentName, segmentTreePath } from './segment.ts';
import type { NoteVerifier } from './signed-note.ts';

export type Recovery =
  | { readonly kind: 'new' }
  | {
      readonly kind: 'existing';
      readonly state: LogState;
      readonly checkpoint: Checkpoint;
      /** Bytes after `state.segmentBytes` that are no whole record, to be cut off. */
      readonly tornBytes: number;
    };

/** Reads the last segment and checks it against the checkpoint. Throws {@link AuditError}. */
export async function recoverLog(directory: string, verifier: NoteVerifier): Promise<Recovery> {
  const segments = await listSegments(directory);
  const note = await readIfPresent(checkpointPath(directory));
  if (note === undefined) {
    if (segments.length === 0) return { kind: 'new' };
    throw broken(directory, 'there are records and no checkpoint');
  }
  const checkpoint = trustedCheckpoint(directory, note, verifier);
  const start = await startOfLastSegment(directory, segments);
  if (start.state.tree.size > checkpoint.size) {
    throw broken(directory, 'the checkpoint is older than the last segment');
  }
  return readSegment(directory, start, checkpoint);
}

interface Start {
  readonly segments: readonly SegmentName[];
  readonly state: LogState;
}

/** The last segment and the tree at its begin; without that, all segments from the first. */
async function startOfLastSegment(
  directory: string,
  segments: readonly SegmentName[],
): Promise<Start> {
  const last = segments.at(-1);
  if (last === undefined || last.firstIndex === 0) return { segments, state: emptyLog };
  const text = await readIfPresent(segmentTreePath(directory, last.firstIndex));
  const state = text === undefined ? undefined : parseSegmentTree(text, last.firstIndex);
  return state === undefined ? { segments, state: emptyLog } : { segments: [last], state };
}

async function readSegment(
  directory: string,
  start: Start,
  checkpoint: Checkpoint,
): Promise<Recovery> {
  let state = start.state;
  let tornBytes = 0;
  checkRoot(directory, state, checkpoint);
  for (const { path, firstIndex } of start.segments) {
    if (tornBytes > 0) throw broken(directory, 'a record is torn before the last segment');
    if (firstIndex !== state.tree.size) {
      throw broken(directory, `record ${state.tree.size} is missing`);
    }
    const chain = new ChainReader(state.tree.size, state.previous);
    state = { ...state, segmentFirstIndex: firstIndex, segmentBytes: 0 };
    for await (const { lines, torn } of readLines(path)) {
      for (const line of lines) {
        const verdict = tornBytes > 0 ? { kind: 'unreadable' as const } : chain.read(line);
        if (verdict.kind === 'sound') {
          state = {
            ...state,
            tree: appendLeaf(state.tree, verdict.leafHash),
            previous: chain.previous(),
            segmentBytes: state.segmentBytes + line.length + 1,
          };
          checkRoot(directory, state, checkpoint);
          continue;
        }
        // A whole record in the wrong place was written by somebody, not left by a crash.
        if (verdict.kind !== 'unreadable') {
          throw broken(directory, `record ${chain.index()} does not follow the one before it`);
        }
        tornBytes += line.length + 1;
      }
      tornBytes += torn?.length ?? 0;
    }
  }
  if (state.tree.size < checkpoint.size) {
    throw broken(
      directory,
      `the checkpoint speaks of ${checkpoint.size} records, ${state.tree.size} are readable`,
    );
  }
  return { kind: 'existing', state, checkpoint, tornBytes };
}

function checkRoot(directory: string, state: LogState, checkpoint: Checkpoint): void {
  if (state.tree.size !== checkpoint.size) return;
  if (!equalBytes(rootHashOf(state.tree), checkpoint.rootHash)) {
    throw broken(directory, `the first ${checkpoint.size} records are not those that were signed`);
  }
}

function trustedCheckpoint(directory: string, note: string, verifier: NoteVerifier): Checkpoint {
  const verdict = openCheckpoint(note, verifier);
  if (verdict.kind === 'signed') return verdict.checkpoint;
  if (verdict.code === 'note_unsigned') {
    throw new AuditError(
      'audit_key_mismatch',
      `the audit log ${directory} was signed with another key than ${verifier.name}'s`,
      { remedy: "restore the CA's audit key, or move the old log away to begin a new one" },
    );
  }
  throw broken(directory, `its checkpoint is damaged (${verdict.code})`);
}

function broken(directory: string, detail: string): AuditError {
  return new AuditError('audit_broken', `the audit log ${directory} is broken: ${detail}`, {
    remedy: 'keep it for examination with signet audit verify, and restore it from a backup',
  });
}
