/** The segments of a log that were moved away: what is left of them is a seal and a mark. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfPresent } from './log-files.ts';
import { segmentName, unreadable } from './segment.ts';
import { openSegmentSeal, type SegmentSeal, segmentSealPath } from './segment-seal.ts';
import type { NoteVerifier } from './signed-note.ts';

/** Says that a segment was moved on purpose; without it a missing segment is a loss. */
export function archivedMarkPath(directory: string, firstIndex: number): string {
  return join(directory, `${segmentName(firstIndex)}.archived`);
}

/** The first indexes of the segments that were archived. Throws AuditError. */
export async function archivedSegments(directory: string): Promise<ReadonlySet<number>> {
  let names: readonly string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    throw unreadable(directory, error);
  }
  const digits = names.map((name) => /^records-(\d{12})\.archived$/.exec(name)?.[1]);
  return new Set(digits.filter((each) => each !== undefined).map(Number));
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
