/**
 * Proofs from tiles: a handful of files are read, whatever the size of the log (C2SP tlog-tiles).
 *
 * What comes out is checked by its reader against a signed root, so a wrong tile gives a proof that
 * fails, never one that holds.
 */

import { emptyTree, nodeHashOf, rootHashOf } from './merkle.ts';
import type { Proof } from './merkle-proof.ts';
import { tileMissing } from './leaf-hashes.ts';
import { splitHashes, tileHolding, tileWidth } from './tile.ts';
import { readTile } from './tile-files.ts';

/** Reads the tree of the first `size` records. Every method throws AuditError `audit_tile_missing`. */
export class TileReader {
  readonly #directory: string;
  readonly #size: number;
  /** A proof reads few tiles, some of them several times. */
  readonly #read = new Map<string, readonly Uint8Array[]>();

  constructor(directory: string, size: number) {
    this.#directory = directory;
    this.#size = size;
  }

  async rootHash(): Promise<Uint8Array> {
    return this.#size === 0 ? rootHashOf(emptyTree) : this.#rangeHash(0, this.#size);
  }

  leafHash(index: number): Promise<Uint8Array> {
    return this.#hash(0, index);
  }

  /** RFC 9162 §2.1.3.1: from the leaf's sibling up to the root's child. */
  async inclusionProof(index: number): Promise<Proof> {
    if (!Number.isInteger(index) || index < 0 || index >= this.#size) {
      throw new RangeError(`no leaf ${index} in a tree of ${this.#size}`);
    }
    const proof: Uint8Array[] = [];
    let [start, end] = [0, this.#size];
    while (end - start > 1) {
      const split = start + largestPowerOfTwoBelow(end - start);
      if (index < split) {
        proof.push(await this.#rangeHash(split, end));
        end = split;
      } else {
        proof.push(await this.#rangeHash(start, split));
        start = split;
      }
    }
    return proof.toReversed();
  }

  /** RFC 9162 §2.1.4.1: that this tree begins with the tree of the first `firstSize`. */
  async consistencyProof(firstSize: number): Promise<Proof> {
    if (!Number.isInteger(firstSize) || firstSize < 0 || firstSize > this.#size) {
      throw new RangeError(`no tree of ${firstSize} in a tree of ${this.#size}`);
    }
    if (firstSize === 0) return [];
    const proof: Uint8Array[] = [];
    let [start, end] = [0, this.#size];
    while (firstSize !== end) {
      const split = start + largestPowerOfTwoBelow(end - start);
      if (firstSize <= split) {
        proof.push(await this.#rangeHash(split, end));
        end = split;
      } else {
        proof.push(await this.#rangeHash(start, split));
        start = split;
      }
    }
    // A first tree that is a subtree of its own needs no hash: the verifier holds its root.
    if (start > 0) proof.push(await this.#rangeHash(start, end));
    return proof.toReversed();
  }

  /** The tree hash over the records from `start` up to `end`. */
  async #rangeHash(start: number, end: number): Promise<Uint8Array> {
    const length = end - start;
    const height = Math.log2(length);
    if (Number.isInteger(height) && start % length === 0) {
      return this.#nodeHash(height, start / length);
    }
    const split = start + largestPowerOfTwoBelow(length);
    return nodeHashOf(await this.#rangeHash(start, split), await this.#rangeHash(split, end));
  }

  /** The root of the complete subtree `index` of 2^height leaves. */
  async #nodeHash(height: number, index: number): Promise<Uint8Array> {
    if (height % tileHeight === 0) return this.#hash(height / tileHeight, index);
    return nodeHashOf(
      await this.#nodeHash(height - 1, index * 2),
      await this.#nodeHash(height - 1, index * 2 + 1),
    );
  }

  async #hash(level: number, index: number): Promise<Uint8Array> {
    const place = tileHolding(level, index, this.#size);
    const name = `${level}/${place.number}`;
    let hashes = this.#read.get(name);
    if (hashes === undefined) {
      const bytes = await readTile(this.#directory, place);
      if (bytes === undefined) throw tileMissing(this.#directory, index * tileWidth ** level);
      hashes = splitHashes(bytes);
      this.#read.set(name, hashes);
    }
    const hash = hashes[index % tileWidth];
    if (hash === undefined) throw new RangeError(`no hash ${index} on level ${level}`);
    return hash;
  }
}

function largestPowerOfTwoBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

const tileHeight = 8;
