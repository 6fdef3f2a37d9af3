/** A signer's signatures as JOSE carries them: for ECDSA r and s side by side (RFC 7518 §3.4), not their DER. */

import { concatBytes } from '../../core/index.ts';
import { readDer, type SignatureAlgorithm, type Signer } from '../../pki/index.ts';
import type { JwtAlgorithm } from '../../spiffe/index.ts';
import { JwtError } from './jwt-error.ts';

export interface JwsSigner {
  readonly algorithm: JwtAlgorithm;
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** Throws {@link JwtError} if JWT-SVIDs may not be signed with such a key (J-2). */
export function jwsSigner(signer: Signer): JwsSigner {
  const form = forms[signer.algorithm];
  if (form === undefined) {
    throw new JwtError('jwt_algorithm', `JWT-SVIDs are not signed with ${signer.algorithm}`);
  }
  const { algorithm, octets } = form;
  return {
    algorithm,
    async sign(bytes) {
      const signature = await signer.sign(bytes);
      return octets === undefined ? signature : sideBySide(signature, octets);
    },
  };
}

/** Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER } (RFC 3279 §2.2.3), each padded to the curve's size. */
function sideBySide(der: Uint8Array, octets: number): Uint8Array {
  return readDer(der, (reader) =>
    reader.sequence((pair) =>
      concatBytes(fixed(pair.integer(), octets), fixed(pair.integer(), octets)),
    ),
  );
}

/** DER puts a zero before a high bit and drops leading zeros; here every number has one length. */
function fixed(integer: Uint8Array, octets: number): Uint8Array {
  const digits = integer.length > octets ? integer.subarray(integer.length - octets) : integer;
  const padded = new Uint8Array(octets);
  padded.set(digits, octets - digits.length);
  return padded;
}

interface JwsForm {
  readonly algorithm: JwtAlgorithm;
  /** Of r and of s; absent where the signature stands as it is. */
  readonly octets?: number;
}

const forms: Readonly<Partial<Record<SignatureAlgorithm, JwsForm>>> = {
  'ecdsa-sha256': { algorithm: 'ES256', octets: 32 },
  'ecdsa-sha384': { algorithm: 'ES384', octets: 48 },
  'rsa-sha256': { algorithm: 'RS256' },
};
