/** Comparing the tiles of a log with its records, as these are read. */

import { equalBytes } from '../../core/index.ts';
import { type Tile, TileEdge, tilePath, tileWidth } from './tile.ts';
import { readTile } from './tile-files.ts';

export interface TileFindings {
  readonly missing: number;
  /** The first tile that holds other hashes, and the first record it speaks for. */
  readonly edited: { readonly path: string; readonly index: number } | undefined;
}

export class TileCheck {
  readonly #directory: string;
  readonly #edge = new TileEdge();
  #waiting: Tile[] = [];
  #missing = 0;
  #edited: TileFindings['edited'];

  constructor(directory: string) {
    this.#directory = directory;
  }

  add(leafHash: Uint8Array): void {
    this.#waiting.push(...this.#edge.append(leafHash));
  }

  /** Compares what was completed so far, so that it need not be kept. */
  async compare(): Promise<void> {
    const tiles = this.#waiting;
    this.#waiting = [];
    for (const tile of tiles) await this.#compareOne(tile);
  }

  async end(): Promise<TileFindings> {
    await this.compare();
    for (const tile of this.#edge.partials()) await this.#compareOne(tile);
    return { missing: this.#missing, edited: this.#edited };
  }

  async #compareOne(tile: Tile): Promise<void> {
    const found = await readTile(this.#directory, tile);
    if (found === undefined) this.#missing += 1;
    else if (!equalBytes(found, tile.hashes)) this.#edited ??= editedAt(tile, found);
  }
}

function editedAt(tile: Tile, found: Uint8Array): TileFindings['edited'] {
  const byte = tile.hashes.findIndex((value, place) => value !== found[place]);
  const hashIndex = tile.number * tileWidth + Math.floor(byte / (tile.hashes.length / tile.width));
  return { path: tilePath(tile), index: hashIndex * tileWidth ** tile.level };
}
