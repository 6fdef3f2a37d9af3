/** Header blocks into fields (RFC 7541 §3, §6). A block is whole when it comes here. */

import { Buffer } from 'node:buffer';
import { type Field, indexing, type Indexing, makeField, makeFieldLike } from '../field.ts';
import { DynamicTable, fieldSize } from './dynamic-table.ts';
import { integerEnd, readInteger, tooLarge, truncated } from './hpack-integer.ts';
import { decodedLengthMax, huffmanDecode } from './huffman.ts';
import { staticCount, staticTable } from './static-table.ts';

/** Why a block cannot be decoded; each ends the connection (RFC 9113 §4.3). */
export type HpackFault =
  | 'block_truncated'
  | 'integer_too_large'
  | 'index_invalid'
  | 'huffman_invalid'
  | 'table_size_invalid'
  | 'table_size_misplaced';

/** `list_too_large`: the block was right and the tables are in step, but its fields were not kept. */
export type HpackOutcome = 'decoded' | 'list_too_large' | HpackFault;

export class HpackDecoder {
  readonly #table: DynamicTable;
  /** What our SETTINGS allow; the peer's encoder may choose less. */
  readonly #tableSizeMax: number;
  readonly #listSizeMax: number;
  #fault: HpackFault = 'block_truncated';
  #at = 0;

  constructor(options: { readonly tableSizeMax: number; readonly listSizeMax: number }) {
    this.#tableSizeMax = options.tableSizeMax;
    this.#listSizeMax = options.listSizeMax;
    this.#table = new DynamicTable(options.tableSizeMax);
  }

  /** The entries, newest first, for tests and for who explains. */
  *entries(): IterableIterator<Field> {
    for (let at = 0; at < this.#table.count; at += 1) {
      const field = this.#table.at(at);
      if (field !== undefined) yield field;
    }
  }

  get tableSize(): number {
    return this.#table.size;
  }

  /** Appends the fields of `block` to `fields`. After a fault the decoder is of no further use. */
  decode(block: Buffer, fields: Field[]): HpackOutcome {
    let listSize = 0;
    let hasField = false;
    this.#at = 0;
    while (this.#at < block.length) {
      const byte = block[this.#at] ?? 0;
      // §4.2 and §6.3: a change of size stands at the beginning of a block.
      if ((byte & 0xe0) === 0x20) {
        if (hasField) return 'table_size_misplaced';
        const fault = this.#resize(block);
        if (fault !== undefined) return fault;
        continue;
      }
      const field = (byte & 0x80) !== 0 ? this.#indexed(block) : this.#literal(block, byte);
      if (field === undefined) return this.#fault;
      hasField = true;
      listSize += fieldSize(field);
      // Decoding goes on, or the table would no longer be the peer's. What is indexed again and
      // again, a byte each, costs nothing but the turn of this loop.
      if (listSize <= this.#listSizeMax) fields.push(field);
    }
    return listSize > this.#listSizeMax ? 'list_too_large' : 'decoded';
  }

  #resize(block: Buffer): HpackFault | undefined {
    const size = this.#integer(block, 5);
    if (size < 0) return this.#fault;
    if (size > this.#tableSizeMax) return 'table_size_invalid';
    this.#table.resize(size);
    return undefined;
  }

  #indexed(block: Buffer): Field | undefined {
    const index = this.#integer(block, 7);
    return index < 0 ? undefined : this.#lookUp(index);
  }

  #literal(block: Buffer, byte: number): Field | undefined {
    const isIndexed = (byte & 0x40) !== 0;
    const how = isIndexed
      ? indexing.indexed
      : (byte & 0x10) === 0
        ? indexing.without
        : indexing.never;
    const index = this.#integer(block, isIndexed ? 6 : 4);
    if (index < 0) return undefined;
    const field = index === 0 ? this.#newName(block, how) : this.#knownName(block, index, how);
    if (field !== undefined && isIndexed) this.#table.add(field);
    return field;
  }

  #newName(block: Buffer, how: Indexing): Field | undefined {
    const name = this.#text(block);
    if (name === undefined) return undefined;
    const value = this.#text(block);
    return value === undefined ? undefined : makeField(name, value, how);
  }

  #knownName(block: Buffer, index: number, how: Indexing): Field | undefined {
    const like = this.#lookUp(index);
    if (like === undefined) return undefined;
    const value = this.#text(block);
    return value === undefined ? undefined : makeFieldLike(like, value, how);
  }

  #lookUp(index: number): Field | undefined {
    const field =
      index <= staticCount ? staticTable[index - 1] : this.#table.at(index - staticCount - 1);
    if (field === undefined) this.#fault = 'index_invalid';
    return field;
  }

  /** Negative after a fault. */
  #integer(block: Buffer, prefixBits: number): number {
    const value = readInteger(block, this.#at, block.length, prefixBits);
    if (value === truncated) this.#fault = 'block_truncated';
    else if (value === tooLarge) this.#fault = 'integer_too_large';
    else this.#at = integerEnd.at;
    return value;
  }

  #text(block: Buffer): string | undefined {
    const isHuffman = ((block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(block, 7);
    if (length < 0) return undefined;
    const start = this.#at;
    const end = start + length;
    if (end > block.length) {
      this.#fault = 'block_truncated';
      return undefined;
    }
    this.#at = end;
    if (!isHuffman) return block.toString('latin1', start, end);
    const target = scratch(decodedLengthMax(length));
    const decoded = huffmanDecode(block, start, end, target);
    if (decoded === -1) {
      this.#fault = 'huffman_invalid';
      return undefined;
    }
    return target.toString('latin1', 0, decoded);
  }
}

let space = Buffer.allocUnsafeSlow(4096);

/** One for all decoders: nothing stays in it. It grows to the longest string, which a block bounds. */
function scratch(length: number): Buffer {
  if (space.length < length) space = Buffer.allocUnsafeSlow(length * 2);
  return space;
}
