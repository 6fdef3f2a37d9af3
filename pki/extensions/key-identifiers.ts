/** Identifiers of the subject's and the issuer's key, hints for building a path (RFC 5280 §4.2.1.1, §4.2.1.2). */

import { encodeImplicit, encodeOctetString, encodeSequence } from '../der/encode.ts';
import { readDer } from '../der/reader.ts';

export function decodeSubjectKeyId(value: Uint8Array): Uint8Array {
  return readDer(value, (reader) => reader.octetString());
}

/** The key identifier, or undefined if only the issuer's name and serial number are given. */
export function decodeAuthorityKeyId(value: Uint8Array): Uint8Array | undefined {
  return readDer(value, (reader) =>
    reader.sequence((fields) => {
      const keyId = fields.optionalImplicit(0);
      // authorityCertIssuer and authorityCertSerialNumber name a certificate, not a key: not used.
      if (fields.peekTag() === 0xa1) fields.skip();
      fields.optionalImplicit(2);
      return keyId;
    }),
  );
}

export function encodeSubjectKeyId(keyId: Uint8Array): Uint8Array {
  return encodeOctetString(keyId);
}

export function encodeAuthorityKeyId(keyId: Uint8Array): Uint8Array {
  return encodeSequence(encodeImplicit(0, keyId));
}
