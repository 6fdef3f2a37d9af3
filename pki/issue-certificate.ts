/** The last step of making a certificate: signing its to-be-signed bytes. */

import { equalBytes } from '../core/index.ts';
import { CertificateError } from './certificate-error.ts';
import { encodeBitString, encodeSequence } from './der/encode.ts';
import { readDer } from './der/reader.ts';
import { tag } from './der/tag.ts';
import { algorithmIdentifier, type SignatureAlgorithm } from './signature-algorithm.ts';
import type { Signer } from './signer.ts';

/**
 * Signs `tbs`. Throws {@link CertificateError} if `tbs` names another algorithm than the signer's, before
 * the key is used.
 */
export async function issueCertificate(tbs: Uint8Array, signer: Signer): Promise<Uint8Array> {
  if (!equalBytes(namedAlgorithm(tbs), algorithmIdentifier(signer.algorithm))) {
    throw new CertificateError(
      'certificate_algorithm',
      `the template is not for a signer of ${signer.algorithm}`,
    );
  }
  return assembleCertificate(tbs, signer.algorithm, await signer.sign(tbs));
}

/** The certificate of `tbs` and a signature that was made elsewhere. */
export function assembleCertificate(
  tbs: Uint8Array,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
): Uint8Array {
  return encodeSequence(tbs, algorithmIdentifier(algorithm), encodeBitString(signature));
}

function namedAlgorithm(tbs: Uint8Array): Uint8Array {
  return readDer(tbs, (reader) =>
    reader.sequence((fields) => {
      fields.optionalExplicit(0, (version) => version.skip());
      fields.content(tag.integer);
      const algorithm = fields.whole(tag.sequence);
      while (!fields.atEnd) fields.skip();
      return algorithm;
    }),
  );
}
