/**
 * Writing tiles as the log grows: at each checkpoint, before it, what the checkpoint needs.
 *
 * A failed write is tried again with the next one, and the checkpoint waits for it: whoever holds a
 * checkpoint can have its proofs.
 */

import { type Tile, TileEdge } from './tile.ts';
import { writePartialTile, writeWholeTile } from './tile-files.ts';

export class TileWriter {
  readonly #directory: string;
  readonly #edge: TileEdge;
  /** Complete, and not yet on the disk. */
  readonly #whole: Tile[] = [];
  /** The partial tile of each level that is on the disk. */
  readonly #partials = new Map<number, { readonly number: number; readonly width: number }>();

  /** `edge` stands where the disk does. */
  constructor(directory: string, edge: TileEdge = new TileEdge()) {
    this.#directory = directory;
    this.#edge = edge;
    for (const tile of edge.partials()) this.#partials.set(tile.level, tile);
  }

  edge(): TileEdge {
    return this.#edge;
  }

  /** Takes the leaf hash of a durable record. */
  add(leafHash: Uint8Array): void {
    this.#whole.push(...this.#edge.append(leafHash));
  }

  /** How many tiles wait to be written. */
  pending(): number {
    return this.#whole.length;
  }

  /** Writes what was added. One at a time; the log may grow meanwhile. Throws FileError or a system error. */
  async flush(): Promise<void> {
    // Taken now: what is added while files are written belongs to the next flush.
    const partials = this.#edge.partials();
    const whole = [...this.#whole];
    for (const tile of whole) {
      await writeWholeTile(this.#directory, tile);
      this.#whole.shift();
    }
    for (const tile of partials) await this.#writePartial(tile);
  }

  async #writePartial(tile: Tile): Promise<void> {
    const { level, number, width } = tile;
    const before = this.#partials.get(level);
    const isSameTile = before?.number === number;
    if (isSameTile && before.width === width) return;
    await writePartialTile(this.#directory, tile, isSameTile ? before.width : undefined);
    this.#partials.set(level, { number, width });
  }
}
