/** The leaf hashes of a log in order: of its records where they are, else as the tiles have them. */

import { AuditError } from './audit-error.ts';
import { leafHashOf } from './merkle.ts';
import { listSegments, readLines } from './segment.ts';
import { splitHashes, tileWidth } from './tile.ts';
import { readTile } from './tile-files.ts';

/** From index `from` up to `size`. Throws {@link AuditError} where neither has them. */
export async function* leafHashes(
  directory: string,
  from: number,
  size: number,
): AsyncGenerator<Uint8Array> {
  let next = from;
  const segments = await listSegments(directory);
  for (const [place, { path, firstIndex }] of segments.entries()) {
    const end = segments[place + 1]?.firstIndex ?? size;
    if (end <= next || next >= size) continue;
    for await (const hash of tileHashes(directory, next, Math.min(firstIndex, size))) {
      next += 1;
      yield hash;
    }
    let index = firstIndex;
    for await (const { lines } of readLines(path)) {
      for (const line of lines) {
        index += 1;
        if (index <= next || index > size) continue;
        next = index;
        yield leafHashOf(line);
      }
    }
  }
  for await (const hash of tileHashes(directory, next, size)) yield hash;
}

/** From the lowest tiles alone. */
export async function* tileHashes(
  directory: string,
  from: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  for (let next = from; next < end; ) {
    const number = Math.floor(next / tileWidth);
    const width = Math.min(tileWidth, end - number * tileWidth);
    const bytes = await readTile(directory, { level: 0, number, width });
    if (bytes === undefined) throw tileMissing(directory, next);
    yield* splitHashes(bytes).slice(next - number * tileWidth);
    next = number * tileWidth + width;
  }
}

export function tileMissing(directory: string, index: number): AuditError {
  return new AuditError(
    'audit_tile_missing',
    `the audit log ${directory} has neither record ${index} nor the tile with its hash`,
    { remedy: 'bring the archived segments back, or restore tile/ from a backup' },
  );
}
