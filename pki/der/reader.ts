/** A strict reader of DER: one encoding per value, nothing left over, every walk bounded. */

import { DerError } from './der-error.ts';
import { headerLength, readLength } from './header.ts';
import { decodeObjectIdentifier } from './object-identifier.ts';
import {
  type BitString,
  checkBoolean,
  checkInteger,
  checkNull,
  decodeBitString,
} from './primitive.ts';
import { decodeString } from './string.ts';
import { contextTag, describeTag, explicitTag, tag } from './tag.ts';
import { decodeTime } from './time.ts';

/**
 * Reads all of `bytes` with `read`. Throws {@link DerError} on the first byte that is not DER, and when
 * `read` leaves something over.
 *
 * @example
 * const serial = readDer(bytes, (reader) => reader.sequence((inner) => inner.integer()));
 */
export function readDer<T>(
  bytes: Uint8Array,
  read: (reader: DerReader) => T,
  bytesMax: number = derBytesMax,
): T {
  if (bytes.length > bytesMax) {
    throw new DerError('der_size', `${bytes.length} bytes, at most ${bytesMax} are read`);
  }
  return readAll(new DerReader(bytes, 0, bytes.length, 0), read);
}

/**
 * A cursor over the content of one element. Each length prefix makes a reader of its own, and each
 * must be read to its end, so an over-read or a forgotten remainder cannot be written.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #depth: number;
  #offset: number;

  constructor(bytes: Uint8Array, start: number, end: number, depth: number) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
    this.#depth = depth;
  }

  get atEnd(): boolean {
    return this.#offset === this.#end;
  }

  /** The identifier octet of the next element, or undefined at the end. */
  peekTag(): number | undefined {
    return this.#offset < this.#end ? this.#bytes[this.#offset] : undefined;
  }

  /** The content of the next element, which has this identifier octet. */
  content(expected: number): Uint8Array {
    const start = this.#advance(expected);
    return this.#bytes.subarray(start, this.#offset);
  }

  /** Identifier, length and content of the next element, which has this identifier octet. */
  whole(expected: number): Uint8Array {
    const start = this.#offset;
    this.#advance(expected);
    return this.#bytes.subarray(start, this.#offset);
  }

  /** Passes over the next element whatever it is, and returns its identifier octet. */
  skip(): number {
    const identifier = this.peekTag();
    this.#advance(identifier);
    return identifier ?? 0;
  }

  /** The next element whatever it is. */
  element(): { readonly tag: number; readonly content: Uint8Array } {
    const identifier = this.peekTag();
    const start = this.#advance(identifier);
    return { tag: identifier ?? 0, content: this.#bytes.subarray(start, this.#offset) };
  }

  sequence<T>(read: (reader: DerReader) => T): T {
    return this.constructed(tag.sequence, read);
  }

  set<T>(read: (reader: DerReader) => T): T {
    return this.constructed(tag.set, read);
  }

  constructed<T>(identifier: number, read: (reader: DerReader) => T): T {
    // A nested bomb would otherwise grow the stack by one frame for every two bytes.
    if (this.#depth >= depthMax) throw new DerError('der_depth', `nested deeper than ${depthMax}`);
    const start = this.#advance(identifier);
    return readAll(new DerReader(this.#bytes, start, this.#offset, this.#depth + 1), read);
  }

  /** What EXPLICIT `[number]` holds, or undefined if the next element is another one. */
  optionalExplicit<T>(number: number, read: (reader: DerReader) => T): T | undefined {
    const identifier = explicitTag(number);
    return this.peekTag() === identifier ? this.constructed(identifier, read) : undefined;
  }

  /** The content of a primitive IMPLICIT `[number]`, or undefined if the next element is another one. */
  optionalImplicit(number: number): Uint8Array | undefined {
    const identifier = contextTag(number);
    return this.peekTag() === identifier ? this.content(identifier) : undefined;
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
    const content = this.content(tag.boolean);
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
    const content = this.content(tag.integer);
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
    checkNull(this.content(tag.null));
  }

  objectIdentifier(): string {
    return decodeObjectIdentifier(this.content(tag.objectIdentifier));
  }

  octetString(): Uint8Array {
    return this.content(tag.octetString);
  }

  bitString(): BitString {
    return decodeBitString(this.content(tag.bitString));
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

  /** Moves past the next element and returns where its content begins; it ends at the new offset. */
  #advance(expected: number | undefined): number {
    const identifier = this.peekTag();
    if (identifier !== expected) {
      throw new DerError(
        'der_tag',
        `expected ${describeTag(expected)}, found ${describeTag(identifier)}`,
      );
    }
    const length = readLength(this.#bytes, this.#offset, this.#end);
    const start = this.#offset + headerLength(length);
    this.#offset = start + length;
    return start;
  }
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

// Certificates nest about nine deep; twice that is generous, and keeps recursion shallow.
export const depthMax = 16;

// A certificate with an RSA-4096 key and a hundred names has about 6 KiB.
export const derBytesMax = 64 * 1024;
