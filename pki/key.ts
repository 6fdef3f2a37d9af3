/** Key pairs as opaque `KeyObject`s: made, named, and moved as PKCS#8. */

import { Buffer } from 'node:buffer';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { KeyError } from './key-error.ts';
import { type KeyKind, keyIdOfSpki, keyKindOfSpki } from './subject-public-key.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function generateKeyPair(kind: KeyKind): KeyPair {
  if (kind === 'ec-p256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (kind === 'ec-p384') return generateKeyPairSync('ec', { namedCurve: 'P-384' });
  return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice('rsa-'.length)) });
}

/**
 * The SubjectPublicKeyInfo of a public key, or of the public half of a private one. The bytes are the same ones
 * each time and not to be written to: OpenSSL encodes a key in more time than it takes to hash a certificate.
 */
export function spkiOf(key: KeyObject): Uint8Array {
  const known = spkis.get(key);
  if (known !== undefined) return known;
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const spki = plainBytes(publicKey.export({ format: 'der', type: 'spki' }));
  spkis.set(key, spki);
  return spki;
}

/** The kind of a public or private key. Throws {@link KeyError} if it is none we use. */
export function keyKindOf(key: KeyObject): KeyKind {
  return keyKindOfSpki(spkiOf(key));
}

/** See {@link keyIdOfSpki}. */
export function keyIdOf(publicKey: KeyObject): Uint8Array {
  return keyIdOfSpki(spkiOf(publicKey));
}

/** Imports a SubjectPublicKeyInfo. Throws {@link KeyError}, for a point off its curve too. */
export function publicKeyFromSpki(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: asBuffer(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    // OpenSSL's message tells only which decoder failed; it is kept as the cause.
    throw new KeyError('key_malformed', 'the public key cannot be imported', { cause });
  }
}

export function privateKeyToPkcs8Der(key: KeyObject): Uint8Array {
  return plainBytes(key.export({ format: 'der', type: 'pkcs8' }));
}

/** Imports an unencrypted PKCS#8 private key. Throws {@link KeyError}; the message holds no key bytes. */
export function privateKeyFromPkcs8Der(der: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: asBuffer(der), format: 'der', type: 'pkcs8' });
  } catch (cause) {
    throw new KeyError('key_malformed', 'the bytes are not a PKCS#8 private key', { cause });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function plainBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

// It goes when the key does, and holds only what is public.
const spkis = new WeakMap<KeyObject, Uint8Array>();
