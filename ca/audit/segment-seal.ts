/**
 * A segment's seal: a signed note, written when the segment is full, of what the file then holds.
 *
 * With it a segment that was moved elsewhere can be told from any other by itself; that its records are
 * those of the log, the tiles and the checkpoint prove. The note is this log's own, not a standard's: its
 * first line is not the log's name, so that no seal passes for a checkpoint.
 */

import { createHash, type Hash, type KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { segmentName, unreadable } from './segment.ts';
import { type NoteVerifier, openNote, signNote } from './signed-note.ts';

export interface SegmentSeal {
  readonly firstIndex: number;
  readonly records: number;
  readonly bytes: number;
  /** Lower hexadecimal SHA-256 of the file. */
  readonly sha256: string;
}

export function segmentSealPath(directory: string, firstIndex: number): string {
  return join(directory, `${segmentName(firstIndex)}.seal`);
}

export function signSegmentSeal(seal: SegmentSeal, origin: string, signKey: KeyObject): string {
  const { firstIndex, records, bytes, sha256 } = seal;
  const text = `${origin}/segment\n${firstIndex} ${records}\n${bytes}\n${sha256}\n`;
  return signNote(text, origin, signKey);
}

/** The seal in `note`, or undefined if `verifier` did not sign it or it is none. */
export function openSegmentSeal(note: string, verifier: NoteVerifier): SegmentSeal | undefined {
  const opened = openNote(note, verifier);
  if (opened.kind === 'refused') return undefined;
  const [origin, ...rest] = opened.text.split('\n');
  const match = /^(\d{1,15}) (\d{1,15})\n(\d{1,15})\n([0-9a-f]{64})\n$/.exec(rest.join('\n'));
  if (match === null || origin !== `${verifier.name}/segment`) return undefined;
  const [, firstIndex, records, bytes, sha256 = ''] = match;
  return {
    firstIndex: Number(firstIndex),
    records: Number(records),
    bytes: Number(bytes),
    sha256,
  };
}

/** A running SHA-256 over the first `bytes` of a file. Throws {@link AuditError} if it cannot be read. */
export async function digestOf(path: string, bytes: number): Promise<Hash> {
  const digest = createHash('sha256');
  if (bytes === 0) return digest;
  try {
    for await (const chunk of createReadStream(path, { end: bytes - 1 })) digest.update(chunk);
  } catch (error) {
    throw unreadable(path, error);
  }
  return digest;
}
