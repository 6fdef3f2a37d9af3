/** Integers with a prefix (RFC 7541 §5.1). */

import type { Buffer } from 'node:buffer';

/** Where the integer ended, beside its value: one object for all, since there are several in every field. */
export const integerEnd = { at: 0 };

/**
 * The integer whose prefix is the low `prefixBits` of the byte at `at`; {@link integerEnd} says where it
 * ended. -1 if the bytes end before it does, -2 if it is larger than anything could be here.
 */
export function readInteger(bytes: Buffer, at: number, end: number, prefixBits: number): number {
  if (at >= end) return truncated;
  const prefixMax = (1 << prefixBits) - 1;
  let value = (bytes[at] ?? 0) & prefixMax;
  let position = at + 1;
  if (value === prefixMax) {
    for (let shift = 0; ; shift += 7) {
      if (position >= end) return truncated;
      // Four bytes hold every length and index there is; zeros behind them only hide a value.
      if (shift > shiftMax) return tooLarge;
      const byte = bytes[position] ?? 0;
      position += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) break;
    }
  }
  integerEnd.at = position;
  return value;
}

/** Writes `value` behind the bits `pattern` of its first byte; answers the position behind it. */
export function writeInteger(
  target: Buffer,
  at: number,
  value: number,
  prefixBits: number,
  pattern: number,
): number {
  const prefixMax = (1 << prefixBits) - 1;
  let position = at;
  if (value < prefixMax) {
    target[position] = pattern | value;
    return position + 1;
  }
  target[position] = pattern | prefixMax;
  position += 1;
  let rest = value - prefixMax;
  while (rest >= 0x80) {
    target[position] = (rest & 0x7f) | 0x80;
    position += 1;
    rest >>>= 7;
  }
  target[position] = rest;
  return position + 1;
}

export const truncated = -1;
export const tooLarge = -2;
const shiftMax = 21;
/** No integer that we write is longer. */
export const integerBytesMax = 6;
