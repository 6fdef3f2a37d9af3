/** The content rules of the primitive types that have more than one BER form but one DER form. */

import { DerError } from './der-error.ts';

export interface BitString {
  readonly unusedBits: number;
  readonly bytes: Uint8Array;
}

/** Throws unless `content` is one octet, 00 or FF (X.690 §11.1). */
export function checkBoolean(content: Uint8Array): void {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw new DerError('der_boolean', 'a boolean is one octet, 00 or ff');
  }
}

/** Throws unless `content` is the shortest two's complement form (X.690 §8.3.2). */
export function checkInteger(content: Uint8Array): void {
  const [first, second] = [content[0], content[1]];
  if (first === undefined) throw new DerError('der_integer', 'an integer has no content');
  if (second === undefined) return;
  if ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)) {
    throw new DerError('der_integer', 'an integer is not in its shortest form');
  }
}

export function checkNull(content: Uint8Array): void {
  if (content.length > 0) throw new DerError('der_null', 'NULL has content');
}

/** Throws unless the unused bits are counted and zero (X.690 §8.6.2, §11.2.1). */
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
