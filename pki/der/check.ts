/** Checks that bytes are DER all the way down, also where nobody looks at the values. */

import { DerError } from './der-error.ts';
import { compareBytes } from './encode.ts';
import { headerLength, readLength } from './header.ts';
import { checkObjectIdentifier } from './object-identifier.ts';
import { checkBoolean, checkInteger, checkNull, decodeBitString } from './primitive.ts';
import { depthMax, derBytesMax } from './reader.ts';
import { checkString, isStringTag } from './string.ts';
import { describeTag, isConstructed, tag } from './tag.ts';

/**
 * Walks `bytes` as one element and throws {@link DerError} where they are not DER. Parsers that skip
 * fields (unknown extensions, requested attributes) call it first, so that no skipped field can hold
 * a second encoding of the same value.
 */
export function checkDer(bytes: Uint8Array, bytesMax: number = derBytesMax): void {
  if (bytes.length > bytesMax) {
    throw new DerError('der_size', `${bytes.length} bytes, at most ${bytesMax} are read`);
  }
  const end = checkElement(bytes, 0, bytes.length, 0);
  if (end < bytes.length) throw new DerError('der_trailing', 'bytes follow the element');
}

/** Returns where the element ends. By index, because it runs over every byte of every certificate. */
function checkElement(bytes: Uint8Array, offset: number, limit: number, depth: number): number {
  const length = readLength(bytes, offset, limit);
  const identifier = bytes[offset] ?? 0;
  const start = offset + headerLength(length);
  const end = start + length;
  if (!isConstructed(identifier)) {
    if (isUniversal(identifier)) checkPrimitive(identifier, bytes.subarray(start, end));
    return end;
  }
  if (isUniversal(identifier) && identifier !== tag.sequence && identifier !== tag.set) {
    // X.690 §10.2: DER writes every string in primitive form.
    throw new DerError(
      'der_tag',
      `${describeTag(identifier)} is a primitive type in constructed form`,
    );
  }
  if (depth === depthMax) throw new DerError('der_depth', `nested deeper than ${depthMax}`);
  let previous = start;
  let next = start;
  while (next < end) {
    const childEnd = checkElement(bytes, next, end, depth + 1);
    // X.690 §11.6: every SET in a certificate or request is a SET OF, ordered by bytes.
    if (identifier === tag.set && next > start) checkOrder(bytes, previous, next, childEnd);
    previous = next;
    next = childEnd;
  }
  return end;
}

function checkOrder(bytes: Uint8Array, first: number, second: number, end: number): void {
  if (compareBytes(bytes.subarray(first, second), bytes.subarray(second, end)) > 0) {
    throw new DerError('der_set_order', 'the elements of a set are out of order');
  }
}

function checkPrimitive(identifier: number, content: Uint8Array): void {
  switch (identifier) {
    case tag.boolean:
      checkBoolean(content);
      break;
    case tag.integer:
    case tag.enumerated:
      checkInteger(content);
      break;
    case tag.bitString:
      decodeBitString(content);
      break;
    case tag.objectIdentifier:
      checkObjectIdentifier(content);
      break;
    case tag.null:
      checkNull(content);
      break;
    case tag.octetString:
    // Times have rules that depend on the field, so the field's reader checks them.
    case tag.utcTime:
    case tag.generalizedTime:
      break;
    default:
      if (!isStringTag(identifier)) {
        throw new DerError('der_tag', `${describeTag(identifier)} is not used in certificates`);
      }
      checkString(identifier, content);
  }
}

function isUniversal(identifier: number): boolean {
  return (identifier & 0xc0) === 0;
}
