/**
 * The mark that a segment was moved on purpose: a note that the CA signs once it has recorded the move, so
 * that nobody who merely has the disk can pass a loss off as an archive.
 *
 * The note is this log's own, not a standard's: its first line is not the log's name, so that no mark passes
 * for a checkpoint or a seal.
 */

import type { KeyObject } from 'node:crypto';
import { type NoteVerifier, openNote, signNote } from './signed-note.ts';
import type { SegmentSeal } from './segment-seal.ts';

export type ArchiveMark = Pick<SegmentSeal, 'firstIndex' | 'records' | 'sha256'>;

/** `index` is that of the record which says so. */
export function signArchiveMark(
  { firstIndex, records, sha256 }: ArchiveMark,
  index: number,
  origin: string,
  signKey: KeyObject,
): string {
  const text = `${origin}/archived\n${firstIndex} ${records}\n${sha256}\n${index}\n`;
  return signNote(text, origin, signKey);
}

/** The mark in `note`, or undefined if `verifier` did not sign it or it is none. */
export function openArchiveMark(note: string, verifier: NoteVerifier): ArchiveMark | undefined {
  const opened = openNote(note, verifier);
  if (opened.kind === 'refused') return undefined;
  const [origin, ...rest] = opened.text.split('\n');
  const match = /^(\d{1,15}) (\d{1,15})\n([0-9a-f]{64})\n\d{1,15}\n$/.exec(rest.join('\n'));
  if (match === null || origin !== `${verifier.name}/archived`) return undefined;
  const [, firstIndex, records, sha256 = ''] = match;
  return { firstIndex: Number(firstIndex), records: Number(records), sha256 };
}
