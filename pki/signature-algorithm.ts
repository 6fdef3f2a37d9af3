/** Signature algorithms: their AlgorithmIdentifier bytes, and how node:crypto is asked for them. */

import { type KeyObject, sign, verify } from 'node:crypto';
import { toHex } from '../core/index.ts';
import { encodeNull, encodeObjectIdentifier, encodeSequence } from './der/encode.ts';

export type SignatureAlgorithm =
  | 'ecdsa-sha256'
  | 'ecdsa-sha384'
  | 'ecdsa-sha512'
  | 'rsa-sha256'
  | 'rsa-sha384'
  | 'rsa-sha512'
  | 'ed25519';

/** The DER AlgorithmIdentifier, the same array at every call: it must not be written to. */
export function algorithmIdentifier(algorithm: SignatureAlgorithm): Uint8Array {
  return algorithms[algorithm].identifier;
}

/** The algorithm that exactly these AlgorithmIdentifier bytes name, or undefined. */
export function algorithmOf(identifier: Uint8Array): SignatureAlgorithm | undefined {
  return byIdentifier.get(toHex(identifier));
}

/** True if `publicKey` is of the type `algorithm` signs with and the signature holds. */
export function verifySignature(
  algorithm: SignatureAlgorithm,
  publicKey: KeyObject,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  // Without this an RSA key would judge a signature that the certificate calls ECDSA.
  if (!fitsKey(algorithm, publicKey)) return false;
  return verify(digestOf(algorithm), bytes, publicKey, signature);
}

/** Whether a key is of the type that `algorithm` signs with. */
export function fitsKey(algorithm: SignatureAlgorithm, key: KeyObject): boolean {
  return key.asymmetricKeyType === algorithms[algorithm].keyType;
}

/** What node:crypto calls the digest; null where it is part of the algorithm. */
export function digestOf(algorithm: SignatureAlgorithm): string | null {
  return algorithms[algorithm].digest;
}

/** Signs in the calling thread. */
export function signBytes(
  algorithm: SignatureAlgorithm,
  privateKey: KeyObject,
  bytes: Uint8Array,
): Uint8Array {
  return sign(algorithms[algorithm].digest, bytes, privateKey);
}

interface AlgorithmFacts {
  readonly identifier: Uint8Array;
  readonly digest: string | null;
  readonly keyType: 'ec' | 'rsa' | 'ed25519';
}

// RFC 5758 §3.2: ECDSA identifiers have no parameters. RFC 4055 §5: RSA ones have NULL.
const algorithms: Readonly<Record<SignatureAlgorithm, AlgorithmFacts>> = {
  'ecdsa-sha256': ecdsa('1.2.840.10045.4.3.2', 'sha256'),
  'ecdsa-sha384': ecdsa('1.2.840.10045.4.3.3', 'sha384'),
  'ecdsa-sha512': ecdsa('1.2.840.10045.4.3.4', 'sha512'),
  'rsa-sha256': rsa('1.2.840.113549.1.1.11', 'sha256'),
  'rsa-sha384': rsa('1.2.840.113549.1.1.12', 'sha384'),
  'rsa-sha512': rsa('1.2.840.113549.1.1.13', 'sha512'),
  // RFC 8410 §3: no parameters, and the digest is part of the algorithm.
  ed25519: {
    identifier: encodeSequence(encodeObjectIdentifier('1.3.101.112')),
    digest: null,
    keyType: 'ed25519',
  },
};

const byIdentifier: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  signatureAlgorithms().map((name) => [toHex(algorithms[name].identifier), name]),
);

function signatureAlgorithms(): SignatureAlgorithm[] {
  return [
    'ecdsa-sha256',
    'ecdsa-sha384',
    'ecdsa-sha512',
    'rsa-sha256',
    'rsa-sha384',
    'rsa-sha512',
    'ed25519',
  ];
}

function ecdsa(oid: string, digest: string): AlgorithmFacts {
  return { identifier: encodeSequence(encodeObjectIdentifier(oid)), digest, keyType: 'ec' };
}

function rsa(oid: string, digest: string): AlgorithmFacts {
  return {
    identifier: encodeSequence(encodeObjectIdentifier(oid), encodeNull()),
    digest,
    keyType: 'rsa',
  };
}
