/** A second X.509 library reads back each field we write, and writes what we read. */

// oxlint-disable-next-line no-unassigned-import -- it must run before @peculiar/x509 is loaded.
import 'reflect-metadata';
import { Buffer } from 'node:buffer';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../core/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keyIdOf,
  keySigner,
  parseCertificate,
  parseCertificateRequest,
  spkiOf,
  verifyPath,
} from '../../pki/index.ts';
import { checkLeaf } from '../../spiffe/index.ts';
import { makeTestPki } from '../fakes/test-pki.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const pki = await makeTestPki({ nowMs });

describe('what we write', () => {
  test('a leaf, field by field', async () => {
    const leaf = await pki.issueLeaf({ id: '/billing/api', dnsNames: ['api.test'] });
    const read = new x509.X509Certificate(Buffer.from(leaf.der));
    expect(read.serialNumber).toBe(leaf.certificate.serial);
    expect(read.subject).toBe('');
    expect(read.issuer).toBe(
      `O=Test, serialNumber=${toHex(keyIdOf(pki.issuing.signer.publicKey))}`.replace(
        'serialNumber',
        '2.5.4.5',
      ),
    );
    expect(read.notBefore.getTime()).toBe(leaf.certificate.notBeforeMs);
    expect(read.notAfter.getTime()).toBe(leaf.certificate.notAfterMs);
    expect(toHex(new Uint8Array(read.publicKey.rawData))).toBe(toHex(spkiOf(leaf.publicKey)));
    expect(read.signatureAlgorithm).toMatchObject({ name: 'ECDSA', hash: { name: 'SHA-256' } });

    const names = required(read.getExtension(x509.SubjectAlternativeNameExtension));
    expect(names.critical).toBe(true);
    expect(names.names.toJSON()).toEqual([
      { type: 'url', value: 'spiffe://mesh.test/billing/api' },
      { type: 'dns', value: 'api.test' },
    ]);
    const usages = required(read.getExtension(x509.KeyUsagesExtension));
    expect(usages.critical).toBe(true);
    expect(usages.usages).toBe(x509.KeyUsageFlags.digitalSignature);
    const purposes = required(read.getExtension(x509.ExtendedKeyUsageExtension));
    expect(purposes.critical).toBe(false);
    expect(purposes.usages).toEqual([
      x509.ExtendedKeyUsage.serverAuth,
      x509.ExtendedKeyUsage.clientAuth,
    ]);
    const constraints = required(read.getExtension(x509.BasicConstraintsExtension));
    expect(constraints.critical).toBe(true);
    expect(constraints.ca).toBe(false);
    const subjectKeyId = required(read.getExtension(x509.SubjectKeyIdentifierExtension));
    expect(subjectKeyId.keyId).toBe(toHex(keyIdOf(leaf.publicKey)));
    const authorityKeyId = required(read.getExtension(x509.AuthorityKeyIdentifierExtension));
    expect(authorityKeyId.keyId).toBe(toHex(keyIdOf(pki.issuing.signer.publicKey)));
    expect(read.extensions.length).toBe(6);
  });

  test('authorities', async () => {
    const root = new x509.X509Certificate(Buffer.from(pki.root.der));
    const issuing = new x509.X509Certificate(Buffer.from(pki.issuing.der));
    expect(await root.isSelfSigned()).toBe(true);
    expect(await issuing.verify({ publicKey: root.publicKey, signatureOnly: true })).toBe(true);
    const constraints = required(issuing.getExtension(x509.BasicConstraintsExtension));
    expect(constraints).toMatchObject({ critical: true, ca: true, pathLength: 0 });
    expect(required(root.getExtension(x509.BasicConstraintsExtension)).pathLength).toBeUndefined();
    const usages = required(root.getExtension(x509.KeyUsagesExtension));
    expect(usages.usages).toBe(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign);
    const names = required(root.getExtension(x509.SubjectAlternativeNameExtension));
    expect(names.names.toJSON()).toEqual([{ type: 'url', value: 'spiffe://mesh.test' }]);
  });

  test('a request', async () => {
    const { privateKey, publicKey } = generateKeyPair('ec-p256');
    const der = await createCertificateRequest(keySigner(privateKey));
    const read = new x509.Pkcs10CertificateRequest(Buffer.from(der));
    expect(await read.verify()).toBe(true);
    expect(toHex(new Uint8Array(read.publicKey.rawData))).toBe(toHex(spkiOf(publicKey)));
  });
});

describe('what it writes', () => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
  const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
    webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

  test('a root and a leaf, which we read and verify', async () => {
    const rootKeys = await newKeys();
    const leafKeys = await newKeys();
    const validity = { notBefore: new Date(nowMs), notAfter: new Date(nowMs + 60_000) };
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'O=Theirs',
      keys: rootKeys,
      signingAlgorithm: algorithm,
      ...validity,
      extensions: [
        new x509.BasicConstraintsExtension(true, 1, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
      ],
    });
    const leaf = await x509.X509CertificateGenerator.create({
      serialNumber: 'ff02',
      subject: 'O=Leaf',
      issuer: root.subject,
      publicKey: leafKeys.publicKey,
      signingKey: rootKeys.privateKey,
      signingAlgorithm: algorithm,
      ...validity,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://mesh.test/a' }]),
        await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
      ],
    });
    const ourRoot = parseCertificate(new Uint8Array(root.rawData));
    const ourLeaf = parseCertificate(new Uint8Array(leaf.rawData));
    expect(ourRoot.extensions.basicConstraints).toEqual({
      critical: true,
      ca: true,
      pathLength: 1,
    });
    expect(ourLeaf.notAfterMs).toBe(nowMs + 60_000);
    expect(checkLeaf(ourLeaf)).toEqual({ kind: 'ok', id: 'spiffe://mesh.test/a' });
    const verdict = verifyPath({ chain: [ourLeaf], anchors: [ourRoot], atMs: nowMs });
    expect(verdict).toEqual({ kind: 'valid', path: [ourLeaf, ourRoot] });
  });

  test('a request, which we read', async () => {
    const keys = await newKeys();
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: 'O=Theirs',
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'evil.test' }])],
    });
    expect(parseCertificateRequest(new Uint8Array(request.rawData)).keyKind).toBe('ec-p256');
  });
});

function required<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('the extension is missing');
  return value;
}
