/** Identifier and length octets: how they are read, checked and counted (X.690 §8.1, §10.1). */

import { DerError } from './der-error.ts';
import { describeTag } from './tag.ts';

/**
 * The length of the content of the element at `offset`, which together with its header ends at or before
 * `end`. The header then has {@link headerLength} octets, because only the shortest form is accepted.
 */
export function readLength(bytes: Uint8Array, offset: number, end: number): number {
  const identifier = bytes[offset];
  const first = bytes[offset + 1];
  if (identifier === undefined || first === undefined || offset + 2 > end) throw truncated();
  // Tag numbers above 30 take more octets; nothing in PKIX uses them.
  if ((identifier & 0x1f) === 0x1f || identifier === 0) {
    throw new DerError('der_tag', `${describeTag(identifier)} is not used in certificates`);
  }
  const length = first < 0x80 ? first : readLongLength(bytes, offset, end);
  if (offset + headerLength(length) + length > end) throw truncated();
  return length;
}

/** How many octets identifier and length take before `length` octets of content. */
export function headerLength(length: number): number {
  return length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x1_0000 ? 4 : 5;
}

/** Writes identifier and length at `offset` and returns the offset of the content. */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  identifier: number,
  length: number,
): number {
  if (length > contentBytesMax) throw new DerError('der_size', `${length} bytes in one element`);
  let next = offset;
  target[next++] = identifier;
  if (length >= 0x80) {
    target[next++] = 0x80 | (headerLength(length) - 2);
    if (length >= 0x1_0000) target[next++] = length >>> 16;
    if (length >= 0x100) target[next++] = (length >>> 8) & 0xff;
  }
  target[next++] = length & 0xff;
  return next;
}

function readLongLength(bytes: Uint8Array, offset: number, end: number): number {
  const octets = (bytes[offset + 1] ?? 0) & 0x7f;
  if (octets === 0) throw new DerError('der_length', 'indefinite length');
  if (octets > lengthOctetsMax) throw new DerError('der_length', `${octets} length octets`);
  if (offset + 2 + octets > end) throw truncated();
  let length = 0;
  for (let index = 0; index < octets; index += 1) {
    length = length * 256 + (bytes[offset + 2 + index] ?? 0);
  }
  // X.690 §10.1: the fewest octets that can hold the length.
  if (headerLength(length) !== 2 + octets) {
    throw new DerError('der_length', 'length is not in its shortest form');
  }
  return length;
}

function truncated(): DerError {
  return new DerError('der_truncated', 'the bytes end inside an element');
}

// More could only claim a length that is refused anyway: nothing we read or write has 16 MiB.
const lengthOctetsMax = 3;
const contentBytesMax = 0xff_ffff;
