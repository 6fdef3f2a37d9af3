/** The subject alternative name written in one pass, because it is encoded for every certificate. */

import { concatBytes } from '../../core/index.ts';
import { DerError } from '../der/der-error.ts';
import { encodeBoolean, encodeObjectIdentifier } from '../der/encode.ts';
import { headerLength, writeHeader } from '../der/header.ts';
import { tag } from '../der/tag.ts';
import { extensionOid } from './extension-oid.ts';
import { nameTag } from './subject-alt-name.ts';

/** The names of one certificate and the lengths of the structures around them. */
export interface SubjectAltNamePlan {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly prefix: Uint8Array;
  readonly namesLength: number;
  /** Of the whole extension. */
  readonly length: number;
}

/** Throws {@link DerError} on an empty list. */
export function planSubjectAltName(
  uris: readonly string[],
  dnsNames: readonly string[],
  critical: boolean,
): SubjectAltNamePlan {
  if (uris.length + dnsNames.length === 0) {
    throw new DerError('der_size', 'subject alternative name is empty');
  }
  const prefix = critical ? criticalPrefix : plainPrefix;
  const namesLength = lengthOf(uris) + lengthOf(dnsNames);
  const length = wrapped(prefix.length + wrapped(wrapped(namesLength)));
  return { uris, dnsNames, prefix, namesLength, length };
}

/** Writes the whole extension and returns the offset after it. Throws {@link DerError} on a name that is not ASCII. */
export function writeSubjectAltName(
  target: Uint8Array,
  offset: number,
  { uris, dnsNames, prefix, namesLength }: SubjectAltNamePlan,
): number {
  const sequenceLength = wrapped(namesLength);
  let next = writeHeader(target, offset, tag.sequence, prefix.length + wrapped(sequenceLength));
  target.set(prefix, next);
  next = writeHeader(target, next + prefix.length, tag.octetString, sequenceLength);
  next = writeHeader(target, next, tag.sequence, namesLength);
  for (const uri of uris) next = putName(target, next, nameTag.uri, uri);
  for (const name of dnsNames) next = putName(target, next, nameTag.dns, name);
  return next;
}

function wrapped(length: number): number {
  return headerLength(length) + length;
}

function lengthOf(names: readonly string[]): number {
  let length = 0;
  for (const name of names) length += wrapped(name.length);
  return length;
}

function putName(target: Uint8Array, start: number, identifier: number, name: string): number {
  let offset = writeHeader(target, start, identifier, name.length);
  for (let index = 0; index < name.length; index += 1) {
    const unit = name.charCodeAt(index);
    if (unit > 0x7f) throw new DerError('der_string', `${JSON.stringify(name)} is not ASCII`);
    target[offset++] = unit;
  }
  return offset;
}

const plainPrefix = encodeObjectIdentifier(extensionOid.subjectAltName);
const criticalPrefix = concatBytes(plainPrefix, encodeBoolean(true));
