/** All that a process has in memory that could hold a secret, as a debugger would read it (proc(5): `mem`, `smaps`). */

import { Buffer } from 'node:buffer';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import type { KeyPatterns } from '../../cli/demo/key-scan.ts';
import { systemErrorCode } from '../../core/index.ts';

/** How often each of the needles is in the memory of the process. Only for the superuser. */
export function countInMemory(pid: number, needles: readonly Buffer[]): number[] {
  const counts = needles.map(() => 0);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const [start, end] of writableMaps(pid)) {
      for (let from = start; from < end; from += chunkBytes) {
        // Each chunk begins with the last bytes of the one before: no needle falls between two.
        const content = readAt(
          memory,
          Math.max(start, from - overlapBytes),
          Math.min(end, from + chunkBytes),
        );
        needles.forEach((needle, index) => {
          counts[index] = (counts[index] ?? 0) + occurrences(content, needle, from > start);
        });
      }
    }
  } finally {
    closeSync(memory);
  }
  return counts;
}

/** The scalar as it is sent, as OpenSSL's numbers hold it, and the part of it that stands unbroken in PEM. */
export function needlesOf([scalar = Buffer.alloc(0)]: KeyPatterns = []): readonly Buffer[] {
  // In PKCS#8 the scalar begins at byte 36 and a line of PEM holds 48.
  const inPem = Buffer.from(scalar.subarray(0, 12).toString('base64'));
  return [scalar, Buffer.from(new Uint8Array(scalar).toReversed()), inPem];
}

/** The writable areas of which anything is in memory: what was never touched holds nothing. */
function writableMaps(pid: number): readonly (readonly [start: number, end: number])[] {
  const areas = readFileSync(`/proc/${pid}/smaps`, 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return areas.flatMap((area) => {
    const match = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(area);
    if (match === null || /^Rss: +0 kB$/m.test(area)) return [];
    return [[Number.parseInt(match[1] ?? '', 16), Number.parseInt(match[2] ?? '', 16)] as const];
  });
}

function readAt(memory: number, start: number, end: number): Buffer {
  const bytes = Buffer.alloc(end - start);
  try {
    return bytes.subarray(0, readSync(memory, bytes, 0, bytes.length, start));
  } catch (error) {
    // Given back to the system since the maps were read, or reserved and never touched.
    if (systemErrorCode(error) === 'EIO') return Buffer.alloc(0);
    throw error;
  }
}

/** Those that end beyond the part that the chunk before had too. */
function occurrences(content: Buffer, needle: Buffer, overlaps: boolean): number {
  let count = 0;
  for (let at = content.indexOf(needle); at >= 0; at = content.indexOf(needle, at + 1)) {
    if (!overlaps || at + needle.length > overlapBytes) count += 1;
  }
  return count;
}

const chunkBytes = 16 * 1024 * 1024;
const overlapBytes = 64;
