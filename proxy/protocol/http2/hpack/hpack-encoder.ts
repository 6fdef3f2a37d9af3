/** Fields into header blocks (RFC 7541 §6), with what repeats sent as a number. */

import { Buffer } from 'node:buffer';
import { type Field, indexing } from '../field.ts';
import { DynamicTable, fieldSize } from './dynamic-table.ts';
import { integerBytesMax, writeInteger } from './hpack-integer.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { staticCount, staticIndexes } from './static-table.ts';

export interface HpackEncoderOptions {
  /** The most that we use of what the peer allows. */
  readonly tableSizeMax: number;
  /** `stored` codes what goes into the table, and so is sent once and used often. */
  readonly huffman: 'stored' | 'never';
}

export class HpackEncoder {
  readonly #options: HpackEncoderOptions;
  readonly #table: DynamicTable;
  /** By name and value, the number that an entry was added under. */
  readonly #numbers = new Map<string, Map<string, number>>();
  #added = 0;
  #evicted = 0;
  /** Sizes to announce at the beginning of the next block (§4.2): the least since the last, and the present one. */
  #leastSize: number | undefined;

  constructor(options: Partial<HpackEncoderOptions> = {}) {
    this.#options = { ...defaults, ...options };
    // §4.2: both sides begin with the 4096 of SETTINGS_HEADER_TABLE_SIZE.
    this.#table = new DynamicTable(initialTableSize, (field) => this.#onEvict(field));
    if (this.#options.tableSizeMax < initialTableSize) this.allow(initialTableSize);
  }

  get tableSize(): number {
    return this.#table.size;
  }

  *entries(): IterableIterator<Field> {
    for (let at = 0; at < this.#table.count; at += 1) {
      const field = this.#table.at(at);
      if (field !== undefined) yield field;
    }
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  allow(size: number): void {
    const next = Math.min(size, this.#options.tableSizeMax);
    if (next === this.#table.sizeMax) return;
    this.#leastSize = Math.min(this.#leastSize ?? next, next);
    this.#table.resize(next);
  }

  /** The block, in memory that the next call writes to again. */
  encode(fields: readonly Field[]): Buffer {
    let at = this.#writeSizes();
    for (const field of fields) {
      reserve(at, field.name.length + field.value.length + 3 * integerBytesMax);
      at = this.#write(field, at);
    }
    return block.subarray(0, at);
  }

  #writeSizes(): number {
    const least = this.#leastSize;
    if (least === undefined) return 0;
    this.#leastSize = undefined;
    let at = 0;
    if (least < this.#table.sizeMax) at = writeInteger(block, at, least, 5, 0x20);
    return writeInteger(block, at, this.#table.sizeMax, 5, 0x20);
  }

  #write(field: Field, at: number): number {
    const { name, value } = field;
    const fixed = staticIndexes.get(name);
    const numbers = this.#numbers.get(name);
    if (field.indexing !== indexing.never) {
      const index = fixed?.values.get(value) ?? this.#indexOf(numbers?.get(value));
      if (index !== undefined) return writeInteger(block, at, index, 7, 0x80);
    }
    const nameIndex = fixed?.index ?? this.#indexOfName(numbers);
    if (field.indexing !== indexing.indexed || fieldSize(field) > this.#table.sizeMax) {
      const pattern = field.indexing === indexing.never ? 0x10 : 0;
      return this.#writeLiteral(field, at, nameIndex, 4, pattern, false);
    }
    const end = this.#writeLiteral(
      field,
      at,
      nameIndex,
      6,
      0x40,
      this.#options.huffman === 'stored',
    );
    this.#add(field);
    return end;
  }

  #writeLiteral(
    field: Field,
    at: number,
    nameIndex: number,
    prefixBits: number,
    pattern: number,
    huffman: boolean,
  ): number {
    let position = writeInteger(block, at, nameIndex, prefixBits, pattern);
    if (nameIndex === 0) position = writeText(field.name, position, huffman);
    return writeText(field.value, position, huffman);
  }

  #add(field: Field): void {
    if (!this.#table.add(field)) return;
    this.#added += 1;
    const numbers = this.#numbers.get(field.name);
    if (numbers === undefined) this.#numbers.set(field.name, new Map([[field.value, this.#added]]));
    else numbers.set(field.value, this.#added);
  }

  /** Entries leave in the order in which they came, so the count of those gone is the number of this one. */
  #onEvict({ name, value }: Field): void {
    this.#evicted += 1;
    const numbers = this.#numbers.get(name);
    if (numbers?.get(value) !== this.#evicted) return;
    numbers.delete(value);
    if (numbers.size === 0) this.#numbers.delete(name);
  }

  #indexOf(number: number | undefined): number | undefined {
    return number === undefined ? undefined : staticCount + 1 + this.#added - number;
  }

  #indexOfName(numbers: ReadonlyMap<string, number> | undefined): number {
    if (numbers === undefined) return 0;
    for (const number of numbers.values()) return this.#indexOf(number) ?? 0;
    return 0;
  }
}

function writeText(text: string, at: number, huffman: boolean): number {
  const coded = huffman ? huffmanLength(text) : text.length;
  // Where both take the same room, RFC 7541 C.6.2 codes, and so do we.
  if (huffman && coded <= text.length && coded > 0) {
    return huffmanEncode(text, block, writeInteger(block, at, coded, 7, 0x80));
  }
  const start = writeInteger(block, at, text.length, 7, 0);
  return start + block.write(text, start, 'latin1');
}

let block = Buffer.allocUnsafeSlow(16 * 1024);

function reserve(used: number, more: number): void {
  if (block.length - used >= more) return;
  const larger = Buffer.allocUnsafeSlow((used + more) * 2);
  block.copy(larger, 0, 0, used);
  block = larger;
}

const initialTableSize = 4096;
const defaults: HpackEncoderOptions = {
  // The default of the setting: more would be memory per connection for a few repeated fields.
  tableSizeMax: initialTableSize,
  // Coding a string that is sent once costs both sides more time than its bytes cost the network.
  huffman: 'stored',
};
