/** The purposes a certificate is limited to (RFC 5280 §4.2.1.12). */

import { DerError } from '../der/der-error.ts';
import { encodeObjectIdentifier, encodeSequence } from '../der/encode.ts';
import { readDer } from '../der/reader.ts';

/** The two purposes of TLS, by name; every other purpose is a dotted object identifier. */
export type TlsPurpose = 'serverAuth' | 'clientAuth';

export function decodeExtendedKeyUsage(value: Uint8Array): readonly string[] {
  const purposes = readDer(value, (reader) =>
    reader.sequence((list) => list.each(purposesMax, (item) => purposeOf(item.objectIdentifier()))),
  );
  if (purposes.length === 0) throw new DerError('der_size', 'extended key usage names no purpose');
  return purposes;
}

export function encodeExtendedKeyUsage(purposes: readonly TlsPurpose[]): Uint8Array {
  return encodeSequence(...purposes.map((purpose) => encodeObjectIdentifier(purposeOids[purpose])));
}

/** RFC 5280 §4.2.1.12: stands for every purpose. */
export const anyExtendedKeyUsage = '2.5.29.37.0';

function purposeOf(oid: string): string {
  if (oid === purposeOids.serverAuth) return 'serverAuth';
  if (oid === purposeOids.clientAuth) return 'clientAuth';
  return oid;
}

const purposeOids: Readonly<Record<TlsPurpose, string>> = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};

// A handful in practice.
const purposesMax = 64;
