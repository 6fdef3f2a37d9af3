import { describe, expect, test } from 'vitest';
import { fc, test as property } from '@fast-check/vitest';
import { toHex } from '../core/index.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { assembleCertificate, issueCertificate } from './issue-certificate.ts';
import { generateKeyPair, keyIdOf, spkiOf } from './key.ts';
import { encodeName } from './name.ts';
import { keySigner } from './signer.ts';
import type { TbsValues } from './splice-tbs.ts';
import { caTemplate, leafTemplate } from './tbs-template.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const issuerKeys = generateKeyPair('ec-p256');
const issuerName = encodeName({ organization: 'Mesh', serialNumber: '1' });
const issuerKeyId = keyIdOf(issuerKeys.publicKey);
const keys = generateKeyPair('ec-p256');
const rsaKeys = generateKeyPair('rsa-2048');
const subject = encodeName({ organization: 'Mesh', serialNumber: '2' });

const leaf = leafTemplate({ issuerName, issuerKeyId, signatureAlgorithm: 'ecdsa-sha256' });
const values: TbsValues = {
  serial: Uint8Array.of(0x7f, 1),
  notBeforeMs: nowMs,
  notAfterMs: nowMs + 3_600_000,
  spki: spkiOf(keys.publicKey),
  uris: ['spiffe://mesh.test/a'],
};

describe('a leaf', () => {
  const certificate = read(leaf.encode({ ...values, dnsNames: ['a.test', 'b.test'] }));

  test('has what was asked for', () => {
    expect(certificate).toMatchObject({
      serial: '7f01',
      issuer: issuerName,
      subject: encodeName({}),
      notBeforeMs: nowMs,
      notAfterMs: nowMs + 3_600_000,
      spki: values.spki,
      signatureAlgorithm: 'ecdsa-sha256',
    });
  });

  test('has the extensions of an X509-SVID and no others (X-1 to X-4)', () => {
    expect(certificate.extensions).toEqual({
      keyUsage: { critical: true, usages: new Set(['digitalSignature']) },
      extendedKeyUsage: { critical: false, purposes: ['serverAuth', 'clientAuth'] },
      basicConstraints: { critical: true, ca: false },
      authorityKeyId: issuerKeyId,
      subjectKeyId: keyIdOf(keys.publicKey),
      subjectAltName: {
        critical: true,
        uris: ['spiffe://mesh.test/a'],
        dnsNames: ['a.test', 'b.test'],
        ipAddresses: [],
        emails: [],
        others: 0,
      },
      unknownCritical: [],
    });
  });

  test('with a subject need not have a critical SAN', () => {
    const named = read(leaf.encode({ ...values, subject }));
    expect(toHex(named.subject)).toBe(toHex(subject));
    expect(named.extensions.subjectAltName?.critical).toBe(false);
  });

  test('with an RSA key may also encipher keys', () => {
    const rsa = read(leaf.encode({ ...values, spki: spkiOf(rsaKeys.publicKey) }));
    expect([...(rsa.extensions.keyUsage?.usages ?? [])]).toEqual([
      'digitalSignature',
      'keyEncipherment',
    ]);
  });

  test.for<[name: string, serial: number[], expected: string]>([
    ['leading zeros are dropped', [0, 0, 5], '05'],
    ['a top bit gets a sign octet', [0x80], '80'],
    ['20 octets', Array.from({ length: 20 }, () => 0x7f), '7f'.repeat(20)],
    ['20 octets after a zero', [0, ...Array.from({ length: 20 }, () => 0x7f)], '7f'.repeat(20)],
  ])('serial: %s', ([, serial, expected]) => {
    expect(read(leaf.encode({ ...values, serial: Uint8Array.from(serial) })).serial).toBe(expected);
  });
});

describe('an authority', () => {
  const caValues = { ...values, subject, uris: ['spiffe://mesh.test'] };

  test('that signs itself names itself and its own key', () => {
    const template = caTemplate({ signatureAlgorithm: 'ecdsa-sha256', selfSigned: true });
    const certificate = read(template.encode(caValues));
    expect(toHex(certificate.issuer)).toBe(toHex(subject));
    expect(certificate.extensions).toEqual({
      keyUsage: { critical: true, usages: new Set(['keyCertSign', 'cRLSign']) },
      basicConstraints: { critical: true, ca: true },
      authorityKeyId: keyIdOf(keys.publicKey),
      subjectKeyId: keyIdOf(keys.publicKey),
      subjectAltName: {
        critical: false,
        uris: ['spiffe://mesh.test'],
        dnsNames: [],
        ipAddresses: [],
        emails: [],
        others: 0,
      },
      unknownCritical: [],
    });
  });

  test('under another names its issuer and may have a path length', () => {
    const template = caTemplate({
      signatureAlgorithm: 'ecdsa-sha256',
      selfSigned: false,
      pathLength: 0,
      issuerName,
      issuerKeyId,
    });
    const certificate = read(template.encode(caValues));
    expect(toHex(certificate.issuer)).toBe(toHex(issuerName));
    expect(certificate.extensions.authorityKeyId).toEqual(issuerKeyId);
    expect(certificate.extensions.basicConstraints).toEqual({
      critical: true,
      ca: true,
      pathLength: 0,
    });
  });

  test.for([
    ['none', undefined],
    ['an empty one', encodeName({})],
  ] as const)('has a subject, so %s is refused', ([, empty]) => {
    const template = caTemplate({ signatureAlgorithm: 'ecdsa-sha256', selfSigned: true });
    const { subject: _, ...rest } = caValues;
    const encode = (): Uint8Array =>
      template.encode(empty === undefined ? rest : { ...rest, subject: empty });
    expect(encode).toThrow(expect.objectContaining({ code: 'certificate_template' }));
  });
});

describe('what is refused', () => {
  test.for<[name: string, change: Partial<TbsValues>, code: string]>([
    ['the serial 0', { serial: Uint8Array.of(0, 0) }, 'certificate_template'],
    ['an empty serial', { serial: new Uint8Array() }, 'certificate_template'],
    ['a serial of 21 octets', { serial: new Uint8Array(21).fill(1) }, 'certificate_template'],
    [
      'a serial of 20 octets with its top bit set',
      { serial: new Uint8Array(20).fill(0xff) },
      'certificate_template',
    ],
    ['an end before the beginning', { notAfterMs: nowMs - 1 }, 'certificate_template'],
    ['no end', { notAfterMs: Number.NaN }, 'certificate_template'],
    ['a time before 1950', { notBeforeMs: Date.UTC(1949, 0) }, 'der_time'],
    ['no URI', { uris: [] }, 'certificate_template'],
    [
      'two URIs',
      { uris: ['spiffe://mesh.test/a', 'spiffe://mesh.test/b'] },
      'certificate_template',
    ],
    ['a URI that is not ASCII', { uris: ['spiffe://mesh.test/é'] }, 'der_string'],
    ['a DNS name that is not ASCII', { dnsNames: ['é.test'] }, 'der_string'],
    ['a key that is none', { spki: Uint8Array.of(5, 0) }, 'der_tag'],
  ])('%s', ([, change, code]) => {
    expect(() => leaf.encode({ ...values, ...change })).toThrow(expect.objectContaining({ code }));
  });

  test('a signer of another algorithm than the template names', async () => {
    const signer = keySigner(generateKeyPair('ec-p384').privateKey);
    await expect(issueCertificate(leaf.encode(values), signer)).rejects.toMatchObject({
      code: 'certificate_algorithm',
    });
    const der = await issueCertificate(leaf.encode(values), keySigner(issuerKeys.privateKey));
    expect(parseCertificate(der).serial).toBe('7f01');
  });
});

property.prop([
  fc
    .uint8Array({ minLength: 1, maxLength: 19 })
    .filter((serial) => serial.some((octet) => octet > 0)),
  fc.integer({ min: Date.UTC(1950, 0), max: Date.UTC(9999, 0) }),
  fc.integer({ min: 0, max: 10 ** 9 }),
  fc.stringMatching(/^[a-z0-9]{1,250}$/),
  fc.array(fc.stringMatching(/^[a-z0-9.-]{1,60}$/), { maxLength: 8 }),
])(
  'whatever the values, the template writes DER that reads back',
  (serial, notBeforeMs, lifeMs, path, dnsNames) => {
    const uri = `spiffe://mesh.test/${path}`;
    const notAfterMs = Math.min(notBeforeMs + lifeMs, Date.UTC(9999, 11));
    const certificate = read(
      leaf.encode({ ...values, serial, notBeforeMs, notAfterMs, uris: [uri], dnsNames }),
    );
    expect(BigInt(`0x${certificate.serial}`)).toBe(BigInt(`0x${toHex(serial)}`));
    expect(certificate.notBeforeMs).toBe(Math.floor(notBeforeMs / 1000) * 1000);
    expect(certificate.notAfterMs).toBe(Math.floor(notAfterMs / 1000) * 1000);
    expect(certificate.extensions.subjectAltName?.uris).toEqual([uri]);
    expect(certificate.extensions.subjectAltName?.dnsNames).toEqual(dnsNames);
  },
);

/** The certificate around `tbs`; nobody looks at the signature. */
function read(tbs: Uint8Array): Certificate {
  return parseCertificate(assembleCertificate(tbs, 'ecdsa-sha256', new Uint8Array(8)));
}
