/** The one expensive step of a path: does the issuer's key say that it signed the child. */

import { type Certificate, publicKeyOf } from '../certificate.ts';
import { KeyError } from '../key-error.ts';
import { verifySignature } from '../signature-algorithm.ts';
import { describeCertificate, type PathRefusal, refused } from './path-refusal.ts';

/** Undefined if the signature holds. */
export function isSignedBy(child: Certificate, issuer: Certificate): PathRefusal | undefined {
  try {
    const publicKey = publicKeyOf(issuer);
    const { modulusLength = rsaBitsMin } = publicKey.asymmetricKeyDetails ?? {};
    if (modulusLength < rsaBitsMin) {
      return refused(
        'key',
        `${describeCertificate(issuer)} has an RSA key of ${modulusLength} bits`,
      );
    }
    if (verifySignature(child.signatureAlgorithm, publicKey, child.tbs, child.signature)) {
      return undefined;
    }
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    return refused('key', `${describeCertificate(issuer)}: ${error.message}`);
  }
  return refused(
    'signature',
    `${describeCertificate(child)} is not signed by ${describeCertificate(issuer)}`,
  );
}

// NIST SP 800-131A: below this a factored key could sign anything.
const rsaBitsMin = 2048;
