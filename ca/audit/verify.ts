/**
 * Checking a log from its files alone: every record, the chain between them, the Merkle root, and
 * the signature under it. It needs no store and no running CA, and reads with a fixed memory.
 */

import { AuditError } from './audit-error.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { checkpointPath, readIfPresent, verifierPath } from './log-files.ts';
import { type AuditVerdict, type Broken, broken, LogWalk } from './log-walk.ts';
import { listSegments, readLines } from './segment.ts';
import { type NoteVerifier, parseVerifierKey } from './signed-note.ts';

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
}

/** Throws {@link AuditError} only when the files cannot be read or `verifierKey` is no key. */
export async function verifyAuditLog(options: VerifyOptions): Promise<AuditVerdict> {
  const { directory } = options;
  const verifier = await readVerifier(options);
  if ('kind' in verifier) return verifier;
  // Before the records are listed: whatever it covers is on the disk by then, even of a live log.
  const note = await readIfPresent(checkpointPath(directory));
  const segments = await listSegments(directory);
  if (note === undefined) return broken('no_checkpoint', 0, `${directory} has no checkpoint`);
  const checkpoint = openOrFault(note, verifier, 'the checkpoint');
  if ('kind' in checkpoint) return checkpoint;
  const known = openKnown(options.knownCheckpoint, verifier);
  if (known !== undefined && 'kind' in known) return known;
  const walk = new LogWalk(checkpoint, known);
  for (const { path, firstIndex } of segments) {
    const gap = walk.beginSegment(firstIndex);
    if (gap !== undefined) return gap;
    for await (const { lines, torn } of readLines(path)) {
      for (const line of lines) {
        const fault = walk.line(line);
        if (fault !== undefined) return fault;
      }
      const fault = torn === undefined ? undefined : walk.torn();
      if (fault !== undefined) return fault;
    }
  }
  return walk.end();
}

async function readVerifier(options: VerifyOptions): Promise<NoteVerifier | Broken> {
  if (options.verifierKey !== undefined) return parseOrThrow(options.verifierKey);
  const text = await readIfPresent(verifierPath(options.directory));
  if (text === undefined) {
    // A directory that is not there at all is the caller's slip, not a broken log.
    await listSegments(options.directory);
    return broken('bad_key', 0, `${options.directory} has no verifier.pub`);
  }
  return parseVerifierKey(text.trim()) ?? broken('bad_key', 0, 'verifier.pub holds no key');
}

function parseOrThrow(text: string): NoteVerifier {
  const verifier = parseVerifierKey(text.trim());
  if (verifier !== undefined) return verifier;
  throw new AuditError(
    'audit_verifier_invalid',
    `${JSON.stringify(text.slice(0, 80))} is not a verifier key`,
    { remedy: 'give the line of verifier.pub as it was when the log began' },
  );
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
