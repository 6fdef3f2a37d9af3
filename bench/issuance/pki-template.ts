/** What our own `pki` needs from request to certificate: no store, no policy, no log. */

import { randomBytes } from 'node:crypto';
import { systemClock } from '../../core/index.ts';
import {
  encodeName,
  generateKeyPair,
  issueCertificate,
  keyIdOf,
  keySigner,
  leafTemplate,
  parseCertificate,
  parseCertificateRequest,
  publicKeyOf,
  verifySignature,
} from '../../pki/index.ts';
import { BenchError } from '../bench-error.ts';
import { inProcess } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import { requestAt } from './requests.ts';

export async function pkiTemplate(requests: readonly Uint8Array[]): Promise<Candidate> {
  const signer = keySigner(generateKeyPair('ec-p256').privateKey);
  const template = leafTemplate({
    issuerName: encodeName({ organization: 'mesh.test', commonName: 'bench' }),
    issuerKeyId: keyIdOf(signer.publicKey),
    signatureAlgorithm: signer.algorithm,
  });
  const issue = async (at: number): Promise<Uint8Array> => {
    const { spki } = parseCertificateRequest(requestAt(requests, at));
    const serial = randomBytes(16);
    // A serial number is positive and not zero.
    serial[0] = 1;
    const nowMs = systemClock.wallMs();
    const tbs = template.encode({
      serial,
      notBeforeMs: nowMs - 30_000,
      notAfterMs: nowMs + 3_600_000,
      spki,
      uris: ['spiffe://mesh.test/ns/default/sa/bench'],
    });
    return issueCertificate(tbs, signer);
  };
  const certificate = parseCertificate(await issue(0));
  const { publicKey } = signer;
  const { signatureAlgorithm, tbs, signature } = certificate;
  if (!verifySignature(signatureAlgorithm, publicKey, tbs, signature)) {
    throw new BenchError('bench_answer', 'the certificate of the template does not verify');
  }
  publicKeyOf(certificate);
  return inProcess({ name: 'pki: CSR → certificate', inFlight: 1, run: issue });
}
