/** The port behind which every signing key lives, so that it may be in memory, a token or a remote service. */

import { createPublicKey, type KeyObject } from 'node:crypto';
import { keyKindOf } from './key.ts';
import type { SignatureAlgorithm } from './signature-algorithm.ts';
import { inlineSignatures, type Signatures } from './signatures.ts';

export interface Signer {
  readonly publicKey: KeyObject;
  readonly algorithm: SignatureAlgorithm;
  /** The signature over `bytes`; for ECDSA the DER form that X.509 carries. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/**
 * A signer over a key in this process. Throws `KeyError` if the key is of a kind we do not use.
 *
 * @example
 * const signer = keySigner(generateKeyPair('ec-p256').privateKey);
 */
export function keySigner(
  privateKey: KeyObject,
  signatures: Pick<Signatures, 'sign'> = inlineSignatures,
): Signer {
  const publicKey = createPublicKey(privateKey);
  // The digest is as strong as the curve: RFC 5656 §6.2.1 gives the same pairs.
  const kind = keyKindOf(publicKey);
  const algorithm: SignatureAlgorithm =
    kind === 'ec-p256' ? 'ecdsa-sha256' : kind === 'ec-p384' ? 'ecdsa-sha384' : 'rsa-sha256';
  return {
    publicKey,
    algorithm,
    sign: (bytes) => signatures.sign(algorithm, privateKey, bytes),
  };
}
