/** A strict reader of DER: one encoding per value, nothing left over, every walk bounded. */

import { DerError } from './der-error.ts';
import { decodeObjectIdentifier } from './object-identifier.ts';
import { decodeString } from './string.ts';
import { contextTag, describeTag, explicitTag, tag } from './tag.ts';
import { decodeTime } from './time.ts';

export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Identifier, length and content together. */
  readonly whole: Uint8Array;
}

export interface BitString {
  readonly unusedBits: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads all of `bytes` with `read`. Throws {@link DerError} on the first byte that is not DER, and when
 * `read` leaves something over.
 *
 * @example
 * const serial = readDer(bytes, (reader) => reader.sequence((inner) => inner.integer()));
 */
export function readDer<T>(bytes: Uint8Array, read: (reader: DerReader) => T): T {
  if (bytes.length > derBytesMax) {
    throw new DerError('der_size', `${bytes.length} bytes, at most ${derBytesMax} are read`);
  }
  return readAll(new DerReader(bytes, 0), read);
}

/**
 * A cursor over the content of one element. Each length prefix makes a reader of its own, and each
 * must be read to its end, so an over-read or a forgotten remainder cannot be written.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #depth: number;
  #offset = 0;

  constructor(bytes: Uint8Array, depth: number) {
    this.#bytes = bytes;
    this.#depth = depth;
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** The identifier octet of the next element, or undefined at the end. */
  peekTag(): number | undefined {
    return this.#bytes[this.#offset];
  }

  /** The next element whatever it is; `expected` demands one identifier octet. */
  element(expected?: number): DerElement {
    const start = this.#offset;
    const identifier = this.#bytes[start];
    if (expected !== undefined && identifier !== expected) {
      throw new DerError(
        'der_tag',
        `expected ${describeTag(expected)}, found ${describeTag(identifier)}`,
      );
    }
    if (identifier === undefined) throw truncated();
    // Tag numbers above 30 take more octets; nothing in PKIX uses them.
    if ((identifier & 0x1f) === 0x1f || identifier === 0) {
      throw new DerError('der_tag', `${describeTag(identifier)} is not used in certificates`);
    }
    const contentStart = this.#lengthAt(start + 1);
    const end = this.#offset;
    return {
      tag: identifier,
      content: this.#bytes.subarray(contentStart, end),
      whole: this.#bytes.subarray(start, end),
    };
  }

  sequence<T>(read: (reader: DerReader) => T): T {
    return this.constructed(tag.sequence, read);
  }

  set<T>(read: (reader: DerReader) => T): T {
    return this.constructed(tag.set, read);
  }

  /** What EXPLICIT `[number]` holds, or undefined if the next element is another one. */
  optionalExplicit<T>(number: number, read: (reader: DerReader) => T): T | undefined {
    const identifier = explicitTag(number);
    return this.peekTag() === identifier ? this.constructed(identifier, read) : undefined;
  }

  /** The content of a primitive IMPLICIT `[number]`, or undefined if the next element is another one. */
  optionalImplicit(number: number): Uint8Array | undefined {
    const identifier = contextTag(number);
    return this.peekTag() === identifier ? this.element(identifier).content : undefined;
  }

  constructed<T>(identifier: number, read: (reader: DerReader) => T): T {
    // A nested bomb would otherwise grow the stack by one frame for every two bytes.
    if (this.#depth >= depthMax) throw new DerError('der_depth', `nested deeper than ${depthMax}`);
    return readAll(new DerReader(this.element(identifier).content, this.#depth + 1), read);
  }

  /** Every remaining element by `read`, at most `countMax` of them. */
  each<T>(countMax: number, read: (reader: DerReader) => T): T[] {
    const values: T[] = [];
    while (!this.atEnd) {
      if (values.length === countMax) {
        throw new DerError('der_size', `a list holds more than ${countMax} elements`);
      }
      values.push(read(this));
    }
    return values;
  }

  boolean(): boolean {
    const { content } = this.element(tag.boolean);
    checkBoolean(content);
    return content[0] === 0xff;
  }

  /** BOOLEAN DEFAULT FALSE: absent means false, and X.690 §11.5 forbids writing the default. */
  booleanDefaultFalse(): boolean {
    if (this.peekTag() !== tag.boolean) return false;
    if (!this.boolean()) throw new DerError('der_default', 'a default value is written out');
    return true;
  }

  /** The two's complement content of an INTEGER. */
  integer(): Uint8Array {
    const { content } = this.element(tag.integer);
    checkInteger(content);
    return content;
  }

  /** An INTEGER between 0 and 2^31 - 1. */
  smallInteger(): number {
    const content = this.integer();
    if (content.length > 4 || ((content[0] ?? 0) & 0x80) !== 0) {
      throw new DerError('der_integer', 'an integer is negative or too large');
    }
    return content.reduce((value, octet) => value * 256 + octet, 0);
  }

  null(): void {
    if (this.element(tag.null).content.length > 0)
      throw new DerError('der_null', 'NULL has content');
  }

  objectIdentifier(): string {
    return decodeObjectIdentifier(this.element(tag.objectIdentifier).content);
  }

  octetString(): Uint8Array {
    return this.element(tag.octetString).content;
  }

  bitString(): BitString {
    return decodeBitString(this.element(tag.bitString).content);
  }

  /** A BIT STRING of whole octets, as keys and signatures are. */
  octetAlignedBitString(): Uint8Array {
    const { unusedBits, bytes } = this.bitString();
    if (unusedBits !== 0) throw new DerError('der_bit_string', `${unusedBits} unused bits`);
    return bytes;
  }

  /** UTCTime or GeneralizedTime under the rules of RFC 5280 §4.1.2.5, in milliseconds. */
  time(): number {
    const { tag: identifier, content } = this.element();
    return decodeTime(identifier, content);
  }

  /** Any of the string types of X.520 DirectoryString, or IA5String. */
  string(): string {
    const { tag: identifier, content } = this.element();
    return decodeString(identifier, content);
  }

  #lengthAt(offset: number): number {
    const first = this.#bytes[offset];
    if (first === undefined) throw truncated();
    let length = first;
    let contentStart = offset + 1;
    if (first >= 0x80) {
      const octets = first & 0x7f;
      if (octets === 0) throw new DerError('der_length', 'indefinite length');
      if (octets > lengthOctetsMax) throw new DerError('der_length', `${octets} length octets`);
      length = 0;
      for (let index = 0; index < octets; index += 1) {
        const octet = this.#bytes[contentStart + index];
        if (octet === undefined) throw truncated();
        length = length * 256 + octet;
      }
      contentStart += octets;
      // X.690 §10.1: the fewest octets that can hold the length.
      if (length < 0x80 || length < 2 ** (8 * (octets - 1))) {
        throw new DerError('der_length', 'length is not in its shortest form');
      }
    }
    const end = contentStart + length;
    if (end > this.#bytes.length) throw truncated();
    this.#offset = end;
    return contentStart;
  }
}

/** Throws unless `content` is one octet, 00 or FF (X.690 §11.1). */
export function checkBoolean(content: Uint8Array): void {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw new DerError('der_boolean', 'a boolean is one octet, 00 or ff');
  }
}

/** Throws unless `content` is the shortest two's complement form (X.690 §8.3.2). */
export function checkInteger(content: Uint8Array): void {
  const [first, second] = content;
  if (first === undefined) throw new DerError('der_integer', 'an integer has no content');
  if (second === undefined) return;
  if ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)) {
    throw new DerError('der_integer', 'an integer is not in its shortest form');
  }
}

export function decodeBitString(content: Uint8Array): BitString {
  const unusedBits = content[0];
  if (unusedBits === undefined || unusedBits > 7) {
    throw new DerError('der_bit_string', 'the count of unused bits is missing or above 7');
  }
  const bytes = content.subarray(1);
  const last = bytes.at(-1);
  if (last === undefined ? unusedBits > 0 : (last & ((1 << unusedBits) - 1)) !== 0) {
    throw new DerError('der_bit_string', 'unused bits are not zero');
  }
  return { unusedBits, bytes };
}

function readAll<T>(reader: DerReader, read: (reader: DerReader) => T): T {
  const value = read(reader);
  if (!reader.atEnd) {
    throw new DerError(
      'der_trailing',
      `${describeTag(reader.peekTag())} where the end was expected`,
    );
  }
  return value;
}

function truncated(): DerError {
  return new DerError('der_truncated', 'the bytes end inside an element');
}

// Certificates nest about nine deep; twice that is generous, and keeps recursion shallow.
const depthMax = 16;

// A certificate with an RSA-4096 key and a hundred names has about 6 KiB.
export const derBytesMax = 64 * 1024;

// 64 KiB needs three octets; more could only claim a length that is refused anyway.
const lengthOctetsMax = 3;
