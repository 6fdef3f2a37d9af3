/** Encoders of DER: each returns the whole element in its only valid form. */

import { concatBytes, utf8Bytes } from '../../core/index.ts';
import { DerError } from './der-error.ts';
import { headerLength, writeHeader } from './header.ts';
import { encodeObjectIdentifierContent } from './object-identifier.ts';
import { contextTag, explicitTag, tag } from './tag.ts';

/** Identifier, shortest length, and `content`. */
export function encodeElement(identifier: number, ...content: readonly Uint8Array[]): Uint8Array {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return concatBytes(encodeHeader(identifier, length), ...content);
}

/** Identifier and length octets alone, for content that is written elsewhere. */
export function encodeHeader(identifier: number, length: number): Uint8Array {
  const header = new Uint8Array(headerLength(length));
  writeHeader(header, 0, identifier, length);
  return header;
}

export function encodeSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return encodeElement(tag.sequence, ...parts);
}

/** SET OF: X.690 §11.6 orders the elements by their bytes. */
export function encodeSet(...parts: readonly Uint8Array[]): Uint8Array {
  return encodeElement(tag.set, ...parts.toSorted(compareBytes));
}

export function encodeBoolean(value: boolean): Uint8Array {
  return Uint8Array.of(tag.boolean, 1, value ? 0xff : 0);
}

/** A non-negative INTEGER, from a number or from big-endian magnitude bytes. */
export function encodeInteger(value: number | Uint8Array): Uint8Array {
  return encodeElement(
    tag.integer,
    minimalMagnitude(typeof value === 'number' ? octetsOf(value) : value),
  );
}

export function encodeNull(): Uint8Array {
  return Uint8Array.of(tag.null, 0);
}

export function encodeObjectIdentifier(dotted: string): Uint8Array {
  return encodeElement(tag.objectIdentifier, encodeObjectIdentifierContent(dotted));
}

export function encodeOctetString(...content: readonly Uint8Array[]): Uint8Array {
  return encodeElement(tag.octetString, ...content);
}

export function encodeBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return encodeElement(tag.bitString, Uint8Array.of(unusedBits), bytes);
}

/** A BIT STRING of named bits: X.690 §11.2.2 drops the trailing zero bits. */
export function encodeNamedBits(bits: Iterable<number>): Uint8Array {
  const positions = [...bits];
  const highest = Math.max(-1, ...positions);
  const bytes = new Uint8Array(Math.floor(highest / 8) + 1);
  for (const bit of positions) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return encodeBitString(bytes, highest < 0 ? 0 : 7 - (highest & 7));
}

export function encodeUtf8String(text: string): Uint8Array {
  return encodeElement(tag.utf8String, utf8Bytes(text));
}

export function encodePrintableString(text: string): Uint8Array {
  if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)) {
    throw new DerError('der_string', `${JSON.stringify(text)} is not a PrintableString`);
  }
  return encodeElement(tag.printableString, utf8Bytes(text));
}

/** EXPLICIT `[number]` around whole elements. */
export function encodeExplicit(number: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return encodeElement(explicitTag(number), ...parts);
}

/** IMPLICIT `[number]` around the content of a primitive value. */
export function encodeImplicit(number: number, content: Uint8Array): Uint8Array {
  return encodeElement(contextTag(number), content);
}

/** The content octets of a non-negative integer: no leading zero but the one that keeps it positive. */
export function minimalMagnitude(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const trimmed = magnitude.subarray(start);
  const first = trimmed[0];
  if (first === undefined) return Uint8Array.of(0);
  return first >= 0x80 ? concatBytes(Uint8Array.of(0), trimmed) : trimmed;
}

function octetsOf(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new DerError('der_integer', `${value} is not a non-negative integer`);
  }
  const octets: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.from(octets);
}

/** The order of SET OF: byte by byte, and the shorter of two that begin alike first. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shared = Math.min(left.length, right.length);
  for (let index = 0; index < shared; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
