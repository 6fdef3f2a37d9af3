/** Distinguished names, kept as DER: two names are equal when their bytes are. */

import { toHex } from '../core/index.ts';
import {
  encodeObjectIdentifier,
  encodePrintableString,
  encodeSequence,
  encodeSet,
  encodeUtf8String,
} from './der/encode.ts';
import { type DerReader, readDer } from './der/reader.ts';
import { decodeString, isStringTag } from './der/string.ts';

/** The attributes we write. Each becomes an RDN of its own, in this order. */
export interface NameAttributes {
  readonly country?: string;
  readonly organization?: string;
  readonly organizationalUnit?: string;
  readonly serialNumber?: string;
  readonly commonName?: string;
}

/**
 * The DER of a Name. `encodeName({})` is the empty name.
 *
 * Throws `DerError` if a country or serial number has characters outside PrintableString.
 */
export function encodeName(attributes: NameAttributes): Uint8Array {
  const { country, organization, organizationalUnit, serialNumber, commonName } = attributes;
  const relativeNames: Uint8Array[] = [];
  const add = (oid: string, value: Uint8Array): void => {
    relativeNames.push(encodeSet(encodeSequence(encodeObjectIdentifier(oid), value)));
  };
  // X.520 §6.3.1 and §6.2.9: country and serial number are PrintableString; the rest may be UTF-8.
  if (country !== undefined) add('2.5.4.6', encodePrintableString(country));
  if (organization !== undefined) add('2.5.4.10', encodeUtf8String(organization));
  if (organizationalUnit !== undefined) add('2.5.4.11', encodeUtf8String(organizationalUnit));
  if (serialNumber !== undefined) add('2.5.4.5', encodePrintableString(serialNumber));
  if (commonName !== undefined) add('2.5.4.3', encodeUtf8String(commonName));
  return encodeSequence(...relativeNames);
}

/** A name for people, such as `O=Signet, serialNumber=12`. Never compare its result: it is not unique. */
export function formatName(name: Uint8Array): string {
  const attributes = readAttributes(name);
  if (attributes.length === 0) return '(empty)';
  return attributes.map(({ oid, text }) => `${labels.get(oid) ?? oid}=${text}`).join(', ');
}

/** Throws `DerError` unless `name` is a list of sets of attributes. */
export function checkName(name: Uint8Array): void {
  if (!isEmptyName(name)) readAttributes(name);
}

/** Mail addresses in the old place, which name constraints still bind (RFC 5280 §4.2.1.10). */
export function mailAddressesIn(name: Uint8Array): string[] {
  if (isEmptyName(name)) return [];
  return readAttributes(name)
    .filter(({ oid }) => oid === '1.2.840.113549.1.9.1')
    .map(({ text }) => text);
}

/** The common names in a name, in order: usually one. Throws `DerError`. */
export function commonNamesOf(name: Uint8Array): string[] {
  if (isEmptyName(name)) return [];
  return readAttributes(name)
    .filter(({ oid }) => oid === '2.5.4.3')
    .map(({ text }) => text);
}

export function isEmptyName(name: Uint8Array): boolean {
  return name.length === 2;
}

interface Attribute {
  readonly oid: string;
  readonly text: string;
}

function readAttributes(name: Uint8Array): Attribute[] {
  return readDer(name, (reader) =>
    reader.sequence((names) =>
      names.each(relativeNamesMax, (rdn) =>
        rdn.set((set) => set.each(relativeNamesMax, (pair) => pair.sequence(readAttribute))),
      ),
    ),
  ).flat();
}

function readAttribute(reader: DerReader): Attribute {
  const oid = reader.objectIdentifier();
  const { tag: identifier, content } = reader.element();
  // RFC 4514 §2.4: a value that is no string is shown as its bytes.
  const isString = isStringTag(identifier);
  return { oid, text: isString ? decodeString(identifier, content) : `#${toHex(content)}` };
}

const labels: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
]);

// Real names have under ten parts.
const relativeNamesMax = 64;
