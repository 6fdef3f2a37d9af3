/** The wrapper every extension has: identifier, criticality, and an octet string (RFC 5280 §4.2). */

import {
  encodeBoolean,
  encodeObjectIdentifier,
  encodeOctetString,
  encodeSequence,
} from '../der/encode.ts';
import type { DerReader } from '../der/reader.ts';

export interface RawExtension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

export function readExtension(reader: DerReader): RawExtension {
  return reader.sequence((extension) => ({
    oid: extension.objectIdentifier(),
    critical: extension.booleanDefaultFalse(),
    value: extension.octetString(),
  }));
}

export function encodeExtension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  const identifier = encodeObjectIdentifier(oid);
  const octets = encodeOctetString(value);
  return critical
    ? encodeSequence(identifier, encodeBoolean(true), octets)
    : encodeSequence(identifier, octets);
}
