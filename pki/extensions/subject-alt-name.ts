/** The names a certificate speaks for (RFC 5280 §4.2.1.6). */

import { DerError } from '../der/der-error.ts';
import { readDer } from '../der/reader.ts';
import { decodeIa5 } from '../der/string.ts';

export interface SubjectAltName {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly Uint8Array[];
  readonly emails: readonly string[];
  /** How many names there are of kinds not listed here. */
  readonly others: number;
}

export function decodeSubjectAltName(value: Uint8Array): SubjectAltName {
  const names = readDer(value, (reader) =>
    reader.sequence((list) => list.each(namesMax, (item) => item.element())),
  );
  if (names.length === 0) throw new DerError('der_size', 'subject alternative name is empty');
  const texts = (identifier: number): string[] =>
    names.filter((name) => name.tag === identifier).map((name) => decodeIa5(name.content));
  const ipAddresses = names.filter((name) => name.tag === nameTag.ip).map((name) => name.content);
  for (const address of ipAddresses) {
    if (address.length !== 4 && address.length !== 16) {
      throw new DerError('der_string', `an IP address has ${address.length} bytes`);
    }
  }
  for (const name of names) {
    if (!knownTags.has(name.tag)) {
      throw new DerError('der_tag', `0x${name.tag.toString(16)} is no kind of general name`);
    }
  }
  return {
    uris: texts(nameTag.uri),
    dnsNames: texts(nameTag.dns),
    ipAddresses,
    emails: texts(nameTag.email),
    others: names.filter((name) => otherTags.has(name.tag)).length,
  };
}

/** The identifier octets of GeneralName's alternatives. */
export const nameTag = { email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86, ip: 0x87 } as const;

// otherName, x400Address, directoryName, ediPartyName, registeredID.
const otherTags: ReadonlySet<number> = new Set([0xa0, 0xa3, 0xa4, 0xa5, 0x88]);
const knownTags: ReadonlySet<number> = new Set([
  nameTag.email,
  nameTag.dns,
  nameTag.uri,
  nameTag.ip,
  ...otherTags,
]);

// Enough for a service with every alias; each name costs a comparison per name constraint.
const namesMax = 256;
