/** Reads integers and length-prefixed vectors (RFC 8446 §3.4), and never beyond the end of its own bytes. */

import type { Buffer } from 'node:buffer';

/** Thrown by {@link Octets} and caught by whoever began to read; no peer can make anything else of it. */
export class OctetsError extends Error {
  override readonly name = 'OctetsError';
}

/** A vector gives a reader of its own, so that what is inside it cannot be read past its end. */
export class Octets {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  uint8(what: string): number {
    return this.#bytes.readUInt8(this.#take(1, what));
  }

  uint16(what: string): number {
    return this.#bytes.readUInt16BE(this.#take(2, what));
  }

  uint24(what: string): number {
    return this.#bytes.readUIntBE(this.#take(3, what), 3);
  }

  bytes(length: number, what: string): Buffer {
    const at = this.#take(length, what);
    return this.#bytes.subarray(at, at + length);
  }

  /** A vector whose length takes one byte, of `min` to `max` bytes. */
  vector8(min: number, max: number, what: string): Octets {
    return this.#vector(this.uint8(what), min, max, what);
  }

  /** A vector whose length takes two bytes. */
  vector16(min: number, max: number, what: string): Octets {
    return this.#vector(this.uint16(what), min, max, what);
  }

  /** What is left, as text in which every byte is a character. */
  restText(): string {
    const text = this.#bytes.toString('latin1', this.#at);
    this.#at = this.#bytes.length;
    return text;
  }

  /** Throws unless everything has been read: bytes behind a structure are a fault of it. */
  end(what: string): void {
    if (this.left > 0) throw new OctetsError(`${this.left} bytes are left over behind ${what}`);
  }

  #vector(length: number, min: number, max: number, what: string): Octets {
    if (length < min || length > max) {
      throw new OctetsError(`${what} has ${length} bytes, and ${min} to ${max} are allowed`);
    }
    return new Octets(this.bytes(length, what));
  }

  #take(length: number, what: string): number {
    if (this.left < length) {
      throw new OctetsError(`${what} needs ${length} bytes where ${this.left} are left`);
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
