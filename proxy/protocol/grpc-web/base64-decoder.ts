/**
 * Base64 (RFC 4648 §4) as gRPC-Web sends it: in pieces that end anywhere, and with padding in the middle,
 * since a sender may end a group wherever it flushes (PROTOCOL-WEB.md).
 */

import { Buffer } from 'node:buffer';

/** Holds three characters at most between two pieces. */
export class Base64Decoder {
  #bits = 0;
  #digits = 0;
  #padding = 0;

  /** Whether what came so far ends where a group does. */
  get isWhole(): boolean {
    return this.#digits === 0;
  }

  /** The bytes that are whole by now, or undefined where a character cannot stand where it does. */
  decode(text: Uint8Array): Buffer | undefined {
    const groupsMax = Math.floor((this.#digits + this.#padding + text.length) / groupLength);
    const bytes = Buffer.allocUnsafe(groupsMax * bytesInGroup);
    let at = 0;
    for (const octet of text) {
      const digit = digits[octet] ?? notADigit;
      if (octet === equalsSign && this.#digits >= digitsMin) {
        this.#padding += 1;
        this.#bits <<= bitsInDigit;
      } else if (digit !== notADigit && this.#padding === 0) {
        this.#digits += 1;
        this.#bits = (this.#bits << bitsInDigit) | digit;
      } else {
        return undefined;
      }
      if (this.#digits + this.#padding < groupLength) continue;
      bytes.writeUIntBE(this.#bits, at, bytesInGroup);
      at += bytesInGroup - this.#padding;
      this.#bits = 0;
      this.#digits = 0;
      this.#padding = 0;
    }
    return bytes.subarray(0, at);
  }
}

const groupLength = 4;
const bytesInGroup = 3;
const bitsInDigit = 6;
// One byte takes two digits, so that padding is the third character of a group at the earliest.
const digitsMin = 2;
const equalsSign = 0x3d;
const notADigit = 0xff;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const digits = new Uint8Array(256).fill(notADigit);
for (let value = 0; value < alphabet.length; value += 1) digits[alphabet.charCodeAt(value)] = value;
