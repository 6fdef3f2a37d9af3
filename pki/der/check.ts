/** Checks that bytes are DER all the way down, also where nobody looks at the values. */

import {
  type DerElement,
  type DerReader,
  checkBoolean,
  checkInteger,
  decodeBitString,
  readDer,
} from './reader.ts';
import { DerError } from './der-error.ts';
import { decodeObjectIdentifier } from './object-identifier.ts';
import { decodeString, isStringTag } from './string.ts';
import { isConstructed, tag } from './tag.ts';

/**
 * Walks `bytes` as one element and throws {@link DerError} where they are not DER. Parsers that skip
 * fields (unknown extensions, requested attributes) call it first, so that no skipped field can hold
 * a second encoding of the same value.
 */
export function checkDer(bytes: Uint8Array): void {
  readDer(bytes, checkElement);
}

function checkElement(reader: DerReader): void {
  const identifier = reader.peekTag();
  if (identifier !== undefined && isConstructed(identifier)) {
    if (!isUniversal(identifier)) {
      reader.constructed(identifier, checkAll);
    } else if (identifier === tag.sequence || identifier === tag.set) {
      reader.constructed(identifier, checkAll);
    } else {
      // X.690 §10.2: DER writes every string in primitive form.
      throw new DerError('der_tag', 'a primitive type is in constructed form');
    }
    return;
  }
  checkPrimitive(reader.element());
}

function checkAll(reader: DerReader): void {
  while (!reader.atEnd) checkElement(reader);
}

function checkPrimitive({ tag: identifier, content }: DerElement): void {
  if (!isUniversal(identifier)) return;
  switch (identifier) {
    case tag.boolean:
      return checkBoolean(content);
    case tag.integer:
    case tag.enumerated:
      return checkInteger(content);
    case tag.bitString:
      decodeBitString(content);
      return;
    case tag.objectIdentifier:
      decodeObjectIdentifier(content);
      return;
    case tag.null:
      if (content.length > 0) throw new DerError('der_null', 'NULL has content');
      return;
    case tag.octetString:
    case tag.utcTime:
    case tag.generalizedTime:
      return;
    default:
      if (!isStringTag(identifier)) {
        throw new DerError('der_tag', `type ${identifier} is not used in certificates`);
      }
      decodeString(identifier, content);
  }
}

function isUniversal(identifier: number): boolean {
  return (identifier & 0xc0) === 0;
}
