/** The subject alternative name written in one pass, because it is encoded for every certificate. */

import { concatBytes } from '../../core/index.ts';
import { DerError } from '../der/der-error.ts';
import { encodeBoolean, encodeObjectIdentifier, headerLength, writeHeader } from '../der/encode.ts';
import { tag } from '../der/tag.ts';
import { extensionOid } from './extension-oid.ts';
import { nameTag } from './subject-alt-name.ts';

/** The whole extension. Throws {@link DerError} on an empty list or a name that is not ASCII. */
export function subjectAltNameExtension(
  uris: readonly string[],
  dnsNames: readonly string[],
  critical: boolean,
): Uint8Array {
  if (uris.length + dnsNames.length === 0) {
    throw new DerError('der_size', 'subject alternative name is empty');
  }
  const prefix = critical ? criticalPrefix : plainPrefix;
  const namesLength = lengthOf(uris) + lengthOf(dnsNames);
  const sequenceLength = headerLength(namesLength) + namesLength;
  const octetsLength = headerLength(sequenceLength) + sequenceLength;
  const bodyLength = prefix.length + octetsLength;

  const extension = new Uint8Array(headerLength(bodyLength) + bodyLength);
  let offset = writeHeader(extension, 0, tag.sequence, bodyLength);
  extension.set(prefix, offset);
  offset = writeHeader(extension, offset + prefix.length, tag.octetString, sequenceLength);
  offset = writeHeader(extension, offset, tag.sequence, namesLength);
  for (const uri of uris) offset = putName(extension, offset, nameTag.uri, uri);
  for (const name of dnsNames) offset = putName(extension, offset, nameTag.dns, name);
  return extension;
}

function lengthOf(names: readonly string[]): number {
  let length = 0;
  for (const name of names) length += headerLength(name.length) + name.length;
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
