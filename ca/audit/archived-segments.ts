/** The segments of a log that were moved away: what is left of them is a seal and a mark. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArchiveMark, openArchiveMark } from './archive-mark.ts';
import { readIfPresent } from './log-files.ts';
import { segmentName, unreadable } from './segment.ts';
import { openSegmentSeal, type SegmentSeal, segmentSealPath } from './segment-seal.ts';
import type { NoteVerifier } from './signed-note.ts';

/** Says that a segment was moved on purpose; without it a missing segment is a loss. */
export function archivedMarkPath(directory: string, firstIndex: number): string {
  return join(directory, `${segmentName(firstIndex)}.archived`);
}

/**
 * The segments that are marked as archived, by first index, each with what was signed of it: `forged` if
 * nothing was. Throws AuditError.
 */
export async function archivedSegments(
  directory: string,
  verifier: NoteVerifier,
): Promise<ReadonlyMap<number, ArchiveMark | 'forged'>> {
  let names: readonly string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    throw unreadable(directory, error);
  }
  const digits = names.map((name) => /^records-(\d{12})\.archived$/.exec(name)?.[1]);
  const marks = new Map<number, ArchiveMark | 'forged'>();
  for (const firstIndex of digits.filter((each) => each !== undefined).map(Number)) {
    const note = await readIfPresent(archivedMarkPath(directory, firstIndex));
    const mark = openArchiveMark(note ?? '', verifier);
    // A mark that was signed for another segment says nothing about this one.
    marks.set(firstIndex, mark?.firstIndex === firstIndex ? mark : 'forged');
  }
  return marks;
}

/** The seal of segment `firstIndex`: undefined if there is none, `broken` if it is not what was signed. */
export async function readSegmentSeal(
  directory: string,
  firstIndex: number,
  verifier: NoteVerifier,
): Promise<SegmentSeal | 'broken' | undefined> {
  const note = await readIfPresent(segmentSealPath(directory, firstIndex));
  if (note === undefined) return undefined;
  const seal = openSegmentSeal(note, verifier);
  return seal?.firstIndex === firstIndex ? seal : 'broken';
}
