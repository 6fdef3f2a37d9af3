/** A header or trailer section: the bytes as they came and a table of offsets, strings only on demand. */

import type { Buffer } from 'node:buffer';
import type { Fields } from '../fields.ts';
import { type KnownField, knownField, namesEqual } from './known-field.ts';

/**
 * The field lines of one message. Names compare without case; values are ISO-8859-1 text, in which
 * every byte of the peer is one character (RFC 9110 §5.5).
 */
export class HeaderBlock implements Fields {
  /** The bytes the offsets point into; more than the field lines may stand in them. */
  readonly raw: Buffer;
  /** {@link fieldStride} numbers for each field line, in the order of the lines. */
  readonly fields: readonly number[];
  /** Where the last field line ends, its CRLF included. */
  readonly fieldsEnd: number;
  readonly #present: number;
  readonly #repeated: number;

  constructor(raw: Buffer, scanned: ScannedFields) {
    this.raw = raw;
    this.fields = scanned.fields;
    this.fieldsEnd = scanned.fieldsEnd;
    this.#present = scanned.present;
    this.#repeated = scanned.repeated;
  }

  get count(): number {
    return this.fields.length / fieldStride;
  }

  /** The value; several lines of one name are joined by a comma and a space (RFC 9110 §5.3). */
  get(name: string): string | undefined {
    const lowerName = name.toLowerCase();
    let value: string | undefined;
    for (let at = 0; at < this.fields.length; at += fieldStride) {
      if (!this.#isNamed(at, lowerName)) continue;
      value = value === undefined ? this.valueAt(at) : `${value}, ${this.valueAt(at)}`;
    }
    return value;
  }

  /** The value of each line of that name, for fields such as Set-Cookie that cannot be joined. */
  getAll(name: string): string[] {
    const lowerName = name.toLowerCase();
    const values: string[] = [];
    for (let at = 0; at < this.fields.length; at += fieldStride) {
      if (this.#isNamed(at, lowerName)) values.push(this.valueAt(at));
    }
    return values;
  }

  has(name: string): boolean {
    const lowerName = name.toLowerCase();
    for (let at = 0; at < this.fields.length; at += fieldStride) {
      if (this.#isNamed(at, lowerName)) return true;
    }
    return false;
  }

  /** Name (as written) and value of each line, in order. */
  *entries(): IterableIterator<[name: string, value: string]> {
    for (let at = 0; at < this.fields.length; at += fieldStride) {
      yield [this.#text(this.fields[at], this.fields[at + 1]), this.valueAt(at)];
    }
  }

  /** Whether a known field is there, without looking at any byte. */
  hasKnown(field: KnownField): boolean {
    return (this.#present & (1 << field)) !== 0;
  }

  isRepeated(field: KnownField): boolean {
    return (this.#repeated & (1 << field)) !== 0;
  }

  /** Where in `fields` the first line of a known field stands, at or after the line at `from`; or -1. */
  indexOfKnown(field: KnownField, from = 0): number {
    if (!this.hasKnown(field)) return -1;
    for (let at = from; at < this.fields.length; at += fieldStride) {
      if (this.fields[at + 4] === field) return at;
    }
    return -1;
  }

  /** The value of the first line of a known field. */
  known(field: KnownField): string | undefined {
    const at = this.indexOfKnown(field);
    return at === -1 ? undefined : this.valueAt(at);
  }

  /** Whether the value of the line at `at` is `lowerText`, whatever its case. */
  valueEquals(at: number, lowerText: string): boolean {
    return namesEqual(this.raw, this.fields[at + 2] ?? 0, this.fields[at + 3] ?? 0, lowerText);
  }

  valueAt(at: number): string {
    return this.#text(this.fields[at + 2], this.fields[at + 3]);
  }

  #isNamed(at: number, lowerName: string): boolean {
    return namesEqual(this.raw, this.fields[at] ?? 0, this.fields[at + 1] ?? 0, lowerName);
  }

  #text(start: number | undefined, end: number | undefined): string {
    return this.raw.toString('latin1', start, end);
  }
}

/** What the field scanner found; offsets are relative to the start of the head. */
export interface ScannedFields {
  readonly fields: readonly number[];
  readonly fieldsEnd: number;
  /** Bits `1 << KnownField` of the names seen, and of those seen more than once. */
  readonly present: number;
  readonly repeated: number;
}

/** Name start, name end, value start, value end, {@link KnownField}. A line ends where the next begins. */
export const fieldStride = 5;

/** Fields that concern one connection only (RFC 9110 §7.6.1), as a mask of known fields. */
export const hopByHopMask =
  (1 << knownField.connection) |
  (1 << knownField.keepAlive) |
  (1 << knownField.proxyConnection) |
  (1 << knownField.te) |
  (1 << knownField.transferEncoding) |
  (1 << knownField.upgrade);
