/** The same by `@peculiar/x509`, the usual library for it in JavaScript. */

// The library reads its ASN.1 schemas through this polyfill, which must come first.
// oxlint-disable-next-line import/no-unassigned-import
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { inProcess } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import { requestAt } from './requests.ts';

export async function peculiarX509(requests: readonly Uint8Array[]): Promise<Candidate> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const issuer = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const issue = async (at: number): Promise<X509Certificate> => {
    const request = new Pkcs10CertificateRequest(new Uint8Array(requestAt(requests, at)));
    if (!(await request.verify())) throw new BenchError('bench_answer', 'a request is refused');
    const nowMs = systemClock.wallMs();
    return X509CertificateGenerator.create({
      serialNumber: `01${at.toString(16).padStart(30, '0')}`,
      issuer: 'O=mesh.test, CN=bench',
      notBefore: new Date(nowMs - 30_000),
      notAfter: new Date(nowMs + 3_600_000),
      signingKey: issuer.privateKey,
      signingAlgorithm: algorithm,
      publicKey: request.publicKey,
      extensions: [
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new BasicConstraintsExtension(false, undefined, true),
        new SubjectAlternativeNameExtension(
          [{ type: 'url', value: 'spiffe://mesh.test/ns/default/sa/bench' }],
          true,
        ),
      ],
    });
  };
  const certificate = await issue(0);
  if (!(await certificate.verify({ publicKey: issuer.publicKey, signatureOnly: true }))) {
    throw new BenchError('bench_answer', 'the certificate of @peculiar/x509 does not verify');
  }
  return inProcess({ name: '@peculiar/x509: CSR → certificate', inFlight: 32, run: issue });
}
