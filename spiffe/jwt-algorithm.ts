/** The signature algorithms of JWT-SVIDs (J-2), and which keys each may be used with (RFC 7518 §3). */

import { constants, type KeyObject, verify, type VerifyKeyObjectInput } from 'node:crypto';

export type JwtAlgorithm = (typeof jwtAlgorithms)[number];

/** J-2: these nine and no other, so neither `none` nor a shared secret nor EdDSA. */
export const jwtAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
] as const;

export function isJwtAlgorithm(value: unknown): value is JwtAlgorithm {
  return jwtAlgorithms.some((algorithm) => algorithm === value);
}

/** Whether `key` is of the kind and size that `algorithm` asks for. A token must not choose for the key. */
export function fitsKey(algorithm: JwtAlgorithm, key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails;
  if (algorithm.startsWith('ES')) {
    return key.asymmetricKeyType === 'ec' && details?.namedCurve === curves[algorithm];
  }
  // RFC 7518 §3.3 and §3.5: 2048 bits or more.
  return key.asymmetricKeyType === 'rsa' && (details?.modulusLength ?? 0) >= rsaBitsMin;
}

/** RFC 7518 §3.3 to §3.5. An ECDSA signature is r and s side by side, not the DER of X.509. */
export function verifyJws(p: {
  readonly algorithm: JwtAlgorithm;
  readonly key: KeyObject;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}): boolean {
  const { algorithm, key, signed, signature } = p;
  return verify(`sha${algorithm.slice(2)}`, signed, inputOf(algorithm, key), signature);
}

function inputOf(algorithm: JwtAlgorithm, key: KeyObject): VerifyKeyObjectInput {
  if (algorithm.startsWith('ES')) return { key, dsaEncoding: 'ieee-p1363' };
  if (algorithm.startsWith('RS')) return { key, padding: constants.RSA_PKCS1_PADDING };
  return {
    key,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  };
}

const curves: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

const rsaBitsMin = 2048;
