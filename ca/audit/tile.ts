/**
 * Tiles: the Merkle tree as files of at most 256 hashes (C2SP tlog-tiles, "Merkle Tree").
 *
 * A tile of level L holds the roots of subtrees of 256^L records. A whole tile never changes; the last
 * one of each level is partial and is named for its width.
 */

import { concatBytes } from '../../core/index.ts';
import { appendLeaf, emptyTree, hashBytes, type MerkleTree, rootHashOf } from './merkle.ts';

/** Which tile: its level, its number within the level, and how many hashes it holds. */
export interface TilePlace {
  readonly level: number;
  readonly number: number;
  readonly width: number;
}

export interface Tile extends TilePlace {
  readonly hashes: Uint8Array;
}

/** Its path below the log, such as `tile/0/x001/234` or `tile/1/000.p/17`. */
export function tilePath(place: TilePlace): string {
  const { level, number, width } = place;
  const path = `tile/${level}/${numberPath(number)}`;
  return width === tileWidth ? path : `${path}.p/${width}`;
}

/** The tile that holds hash `index` of `level`, as wide as it is in a tree of `size` records. */
export function tileHolding(level: number, index: number, size: number): TilePlace {
  const number = Math.floor(index / tileWidth);
  const hashes = Math.floor(size / tileWidth ** level);
  return { level, number, width: Math.min(tileWidth, hashes - number * tileWidth) };
}

/** The partial tiles on the right edge of a tree of `size` records, one a level, lowest first. */
export function partialTiles(size: number): readonly TilePlace[] {
  const places: TilePlace[] = [];
  for (let level = 0, hashes = size; hashes > 0; level += 1) {
    const width = hashes % tileWidth;
    hashes = Math.floor(hashes / tileWidth);
    if (width > 0) places.push({ level, number: hashes, width });
  }
  return places;
}

/** How many whole tiles each level of a tree of `size` records has, lowest first. */
export function wholeTileCounts(size: number): readonly number[] {
  const counts: number[] = [];
  for (let whole = Math.floor(size / tileWidth); whole > 0; ) {
    counts.push(whole);
    whole = Math.floor(whole / tileWidth);
  }
  return counts;
}

/** The right edge of a growing tree: what its partial tiles hold. */
export class TileEdge {
  readonly #levels: Uint8Array[][] = [];
  #size: number;

  /** An edge that stands at `size`, given what its partial tiles hold. */
  constructor(size = 0, partials: readonly Tile[] = []) {
    this.#size = size;
    for (const { level, hashes } of partials) this.#level(level).push(...splitHashes(hashes));
  }

  size(): number {
    return this.#size;
  }

  /** Adds a leaf, and answers the tiles it completed: none, or one a level from the lowest up. */
  append(leafHash: Uint8Array): readonly Tile[] {
    const completed: Tile[] = [];
    this.#size += 1;
    let hash = leafHash;
    for (let level = 0; ; level += 1) {
      const hashes = this.#level(level);
      hashes.push(hash);
      if (hashes.length < tileWidth) return completed;
      const number = Math.floor(this.#size / tileWidth ** (level + 1)) - 1;
      completed.push({ level, number, width: tileWidth, hashes: concatBytes(...hashes) });
      hash = rootHashOf(hashes.reduce(appendLeaf, emptyTree));
      hashes.length = 0;
    }
  }

  partials(): readonly Tile[] {
    return partialTiles(this.#size).map((place) => ({
      ...place,
      hashes: concatBytes(...this.#level(place.level)),
    }));
  }

  /** The same tree in the form that is appended to and signed. */
  tree(): MerkleTree {
    const subtrees = this.#levels
      .toReversed()
      .flatMap((hashes) => hashes.reduce(appendLeaf, emptyTree).subtrees);
    return { size: this.#size, subtrees };
  }

  #level(level: number): Uint8Array[] {
    while (this.#levels.length <= level) this.#levels.push([]);
    const hashes = this.#levels[level];
    if (hashes === undefined) throw new RangeError(`there is no level ${level}`);
    return hashes;
  }
}

export function splitHashes(bytes: Uint8Array): readonly Uint8Array[] {
  return Array.from({ length: bytes.length / hashBytes }, (_, index) =>
    bytes.subarray(index * hashBytes, (index + 1) * hashBytes),
  );
}

/** Groups of three digits, an `x` before all but the last: no directory has over a thousand names. */
function numberPath(number: number): string {
  let path = String(number % 1000).padStart(3, '0');
  for (let rest = Math.floor(number / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  }
  return path;
}

// C2SP tlog-tiles fixes the height at 8.
export const tileWidth = 256;
