/** SubjectPublicKeyInfo: which kind of key the bytes hold, read strictly (RFC 5280 §4.1.2.7). */

import { hash } from 'node:crypto';
import { encodeNull, encodeObjectIdentifier, encodeSequence } from './der/encode.ts';
import { type DerReader, readDer } from './der/reader.ts';
import { KeyError } from './key-error.ts';

/** The kinds of key this project makes, and certifies for others. */
export type KeyKind = 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-3072' | 'rsa-4096';

/**
 * The kind of key in `spki`. Throws {@link KeyError} on any other kind and on every second encoding of
 * the same key (a compressed point, named parameters, an even modulus), because these very bytes are
 * copied into the certificate.
 */
export function keyKindOfSpki(spki: Uint8Array): KeyKind {
  return readDer(spki, (reader) =>
    reader.sequence((info) => {
      const parameters = info.sequence((identifier) => algorithmOf(identifier));
      const bits = info.octetAlignedBitString();
      return parameters === 'rsa' ? rsaKind(bits) : curveKind(parameters, bits);
    }),
  );
}

/**
 * The key identifier of RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256 of the key's bits.
 * The method of RFC 5280 needs SHA-1, and a verifier only ever compares identifiers.
 */
export function keyIdOfSpki(spki: Uint8Array): Uint8Array {
  const keyId = new Uint8Array(keyIdLength);
  writeKeyId(keyId, 0, spki);
  return keyId;
}

/** Writes the key identifier at `offset` and returns the offset after it. */
export function writeKeyId(target: Uint8Array, offset: number, spki: Uint8Array): number {
  // As a string of octets: returning a Buffer would cost more than the hash itself.
  const digest = hash('sha256', subjectPublicKeyBits(spki), 'latin1');
  for (let index = 0; index < keyIdLength; index += 1) {
    target[offset + index] = digest.charCodeAt(index);
  }
  return offset + keyIdLength;
}

/** True if the key is an RSA one, by its algorithm identifier alone. */
export function isRsaSpki(spki: Uint8Array): boolean {
  const first = spki[1] ?? 0;
  const start = first < 0x80 ? 2 : 2 + (first & 0x7f);
  return rsaIdentifier.every((octet, index) => spki[start + index] === octet);
}

function subjectPublicKeyBits(spki: Uint8Array): Uint8Array {
  return readDer(spki, (reader) =>
    reader.sequence((info) => {
      info.skip();
      return info.octetAlignedBitString();
    }),
  );
}

type Parameters = 'rsa' | 'ec-p256' | 'ec-p384';

function algorithmOf(identifier: DerReader): Parameters {
  const oid = identifier.objectIdentifier();
  if (oid === rsaEncryption) {
    identifier.null();
    return 'rsa';
  }
  if (oid !== ecPublicKey) throw unsupported(`key algorithm ${oid}`);
  // RFC 5480 §2.1.1: only named curves; explicit parameters could name a curve with a known backdoor.
  const curve = identifier.objectIdentifier();
  if (curve === '1.2.840.10045.3.1.7') return 'ec-p256';
  if (curve === '1.3.132.0.34') return 'ec-p384';
  throw unsupported(`curve ${curve}`);
}

function curveKind(kind: 'ec-p256' | 'ec-p384', point: Uint8Array): KeyKind {
  const length = kind === 'ec-p256' ? 65 : 97;
  // 04 marks an uncompressed point, the one form RFC 5480 §2.2 requires everyone to read.
  if (point.length !== length || point[0] !== 4) {
    throw new KeyError(
      'key_malformed',
      `an ${kind} key must be an uncompressed point of ${length} bytes`,
    );
  }
  return kind;
}

function rsaKind(bits: Uint8Array): KeyKind {
  const { modulus, exponent } = readDer(bits, (reader) =>
    reader.sequence((key) => ({ modulus: key.integer(), exponent: key.smallInteger() })),
  );
  // 65537 is the one exponent in use; small ones break with bad padding, even ones never decrypt.
  if (exponent !== 65_537) throw unsupported(`RSA exponent ${exponent}`);
  const bitLength = 8 * (modulus.length - 1);
  // A modulus of exactly n bits has its top bit set, so its INTEGER has one zero octet in front.
  const isExact = modulus[0] === 0 && ((modulus.at(-1) ?? 0) & 1) === 1;
  switch (isExact ? bitLength : 0) {
    case 2048:
      return 'rsa-2048';
    case 3072:
      return 'rsa-3072';
    case 4096:
      return 'rsa-4096';
    default:
      throw unsupported('RSA modulus that is not an odd number of exactly 2048, 3072 or 4096 bits');
  }
}

function unsupported(what: string): KeyError {
  return new KeyError('key_kind_unsupported', `${what} is not accepted`, {
    remedy: 'use a P-256, P-384, RSA-2048, RSA-3072 or RSA-4096 key',
  });
}

/** RFC 7093 §2: 160 bits. */
export const keyIdLength = 20;
const rsaEncryption = '1.2.840.113549.1.1.1';
const ecPublicKey = '1.2.840.10045.2.1';

const rsaIdentifier = encodeSequence(encodeObjectIdentifier(rsaEncryption), encodeNull());
