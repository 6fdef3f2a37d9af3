import { describe, expect, test } from 'vitest';
import { concatBytes, equalBytes, fromBase64, toHex } from '../core/index.ts';
import vectors from '../test/vectors/x509/certificates.json' with { type: 'json' };
import { buildCertificate, type BuildOptions, extension } from '../test/fakes/build-certificate.ts';
import { buildAuthority, buildLeaf, keyUsage, subjectAltName } from '../test/fakes/build-path.ts';
import { encodeTree, readTree } from '../test/fakes/der-tree.ts';
import {
  type Certificate,
  parseCertificate,
  publicKeyOf,
  splitCertificates,
} from './certificate.ts';
import { CertificateError } from './certificate-error.ts';
import {
  encodeBoolean,
  encodeElement,
  encodeInteger,
  encodeNull,
  encodeObjectIdentifier,
  encodeOctetString,
  encodeSequence,
} from './der/encode.ts';
import { formatName } from './name.ts';
import { verifySignature } from './signature-algorithm.ts';

describe('certificates that others wrote', () => {
  test.for(vectors)('$name', ({ input, expected }) => {
    expect(summaryOf(bytesOf(input))).toEqual(expected);
  });
});

const root = buildAuthority({ name: 'root' });
const leaf = buildLeaf({ name: 'leaf', issuer: root });

describe('what is refused', () => {
  const oid = (dotted: string): Uint8Array => encodeObjectIdentifier(dotted);
  const unknown = extension('1.3.6.1.4.1.99999.1', false, encodeNull());
  const explicitFalse = encodeSequence(oid('1.2.3'), Uint8Array.of(1, 1, 0), encodeOctetString());
  const basicConstraints = (...content: readonly Uint8Array[]): Uint8Array =>
    extension('2.5.29.19', true, encodeSequence(...content));

  test.for<[name: string, options: Partial<BuildOptions>, code: string]>([
    ['nothing of this', {}, 'ok'],
    ['version 1 written out', { version: encodeInteger(0) }, 'certificate_version'],
    ['version 2', { version: encodeInteger(1) }, 'certificate_version'],
    ['version 4', { version: encodeInteger(3) }, 'certificate_version'],
    [
      'a serial with a leading zero',
      { serial: Uint8Array.of(2, 2, 0, 1) },
      'certificate_malformed',
    ],
    [
      'another algorithm outside',
      { outerAlgorithm: encodeSequence(oid('1.2.840.10045.4.3.3')) },
      'certificate_algorithm',
    ],
    [
      'an end before the beginning',
      { notBeforeMs: 2000, notAfterMs: 1000 },
      'certificate_validity',
    ],
    ['a validity of one second', { notBeforeMs: 1000, notAfterMs: 1000 }, 'ok'],
    [
      'a subject that is no name',
      { subject: encodeSequence(encodeInteger(1)) },
      'certificate_malformed',
    ],
    [
      'an issuer that is no name',
      { issuerName: encodeSequence(encodeNull()) },
      'certificate_malformed',
    ],
    ['a key that is no sequence', { spki: encodeNull() }, 'certificate_malformed'],
    ['an empty list of extensions', { extensions: [] }, 'certificate_extension'],
    ['an unknown extension', { extensions: [unknown] }, 'ok'],
    [
      'the same unknown extension twice',
      { extensions: [unknown, unknown] },
      'certificate_extension_duplicate',
    ],
    [
      'two subject alternative names',
      { extensions: [subjectAltName({ uris: ['a:b'] }), subjectAltName({ uris: ['a:c'] })] },
      'certificate_extension_duplicate',
    ],
    ['critical FALSE written out', { extensions: [explicitFalse] }, 'certificate_malformed'],
    [
      'cA FALSE written out',
      { extensions: [basicConstraints(encodeBoolean(false))] },
      'certificate_malformed',
    ],
    ['no authority', { extensions: [basicConstraints()] }, 'ok'],
    [
      'a path length without cA',
      { extensions: [basicConstraints(encodeInteger(0))] },
      'certificate_malformed',
    ],
    [
      'a negative path length',
      { extensions: [basicConstraints(encodeBoolean(true), Uint8Array.of(2, 1, 0xff))] },
      'certificate_malformed',
    ],
    [
      'a path length after a path length',
      { extensions: [basicConstraints(encodeBoolean(true), encodeInteger(0), encodeInteger(0))] },
      'certificate_malformed',
    ],
    ['a key usage', { extensions: [keyUsage('digitalSignature')] }, 'ok'],
    [
      'a key usage of nothing',
      { extensions: [extension('2.5.29.15', true, Uint8Array.of(3, 1, 0))] },
      'certificate_malformed',
    ],
    [
      'a key usage with trailing zero bits',
      { extensions: [extension('2.5.29.15', true, Uint8Array.of(3, 2, 0, 0x80))] },
      'certificate_malformed',
    ],
    [
      'a key usage with an unknown bit',
      { extensions: [extension('2.5.29.15', true, Uint8Array.of(3, 3, 6, 0x80, 0x40))] },
      'certificate_malformed',
    ],
    [
      'a purpose list of nothing',
      { extensions: [extension('2.5.29.37', false, encodeSequence())] },
      'certificate_malformed',
    ],
    ['names of nothing', { extensions: [subjectAltName({})] }, 'certificate_malformed'],
    [
      'a URI that is not ASCII',
      { extensions: [subjectAltName({ uris: ['spiffe://mesh.test/é'] })] },
      'certificate_malformed',
    ],
    [
      'an address of five octets',
      { extensions: [subjectAltName({ ipAddresses: [new Uint8Array(5)] })] },
      'certificate_malformed',
    ],
    [
      'a name of no kind',
      { extensions: [subjectAltName({ others: [encodeNull()] })] },
      'certificate_malformed',
    ],
    [
      'name constraints of nothing',
      { extensions: [extension('2.5.29.30', true, encodeSequence())] },
      'certificate_malformed',
    ],
    [
      'an empty list of permitted names',
      { extensions: [extension('2.5.29.30', true, encodeSequence(encodeElement(0xa0)))] },
      'certificate_malformed',
    ],
    [
      'bytes after an extension value',
      { extensions: [extension('2.5.29.14', false, encodeOctetString(), encodeNull())] },
      'certificate_malformed',
    ],
  ])('%s', ([, options, code]) => {
    expect(codeOf(buildCertificate({ name: 'x', issuer: root, ...options }).der)).toBe(code);
  });

  test('bytes after the certificate', () => {
    expect(codeOf(concatBytes(leaf.der, Uint8Array.of(0)))).toBe('certificate_malformed');
  });

  test('a certificate cut anywhere', () => {
    for (let length = 0; length < leaf.der.length; length += 1) {
      expect(codeOf(leaf.der.subarray(0, length))).toBe('certificate_malformed');
    }
  });

  test('one bit changed anywhere: refused, or the only encoding of another certificate', () => {
    for (const [index, bit] of everyBit(leaf.der)) {
      const changed = flipped(leaf.der, index, bit);
      if (codeOf(changed) !== 'ok') continue;
      expect(equalBytes(encodeTree(readTree(changed)), changed)).toBe(true);
    }
  });

  test('one bit changed in each byte: no signature holds any more', () => {
    const publicKey = publicKeyOf(root.certificate);
    for (let index = 0; index < leaf.der.length; index += 1) {
      const changed = flipped(leaf.der, index, index % 8);
      if (codeOf(changed) !== 'ok') continue;
      const { signatureAlgorithm, tbs, signature } = parseCertificate(changed);
      expect(verifySignature(signatureAlgorithm, publicKey, tbs, signature)).toBe(false);
    }
  });
});

describe('the value', () => {
  test('does not change when the bytes it was read from do', () => {
    const bytes = new Uint8Array(leaf.der);
    const certificate = parseCertificate(bytes);
    bytes.fill(0);
    expect(toHex(certificate.der)).toBe(toHex(leaf.der));
    expect(certificate.extensions.subjectAltName?.uris).toEqual(['spiffe://mesh.test/x']);
  });

  test('reads from a Buffer that begins inside its memory', () => {
    const padded = concatBytes(new Uint8Array(7), leaf.der, new Uint8Array(7));
    const inside = Buffer.from(padded).subarray(7, 7 + leaf.der.length);
    expect(toHex(parseCertificate(inside).der)).toBe(toHex(leaf.der));
  });

  test('has its key imported once', () => {
    expect(publicKeyOf(leaf.certificate)).toBe(publicKeyOf(leaf.certificate));
    expect(publicKeyOf(leaf.certificate).equals(leaf.keys.publicKey)).toBe(true);
  });
});

describe('concatenated certificates', () => {
  test('come apart in order', () => {
    expect(splitCertificates(concatBytes(leaf.der, root.der)).map(toHex)).toEqual(
      [leaf.der, root.der].map(toHex),
    );
    expect(splitCertificates(new Uint8Array())).toEqual([]);
  });

  test.for<[name: string, bytes: Uint8Array, code: string]>([
    [
      'a thousand',
      concatBytes(...Array.from({ length: 1000 }, () => Uint8Array.of(0x30, 0))),
      'ok',
    ],
    [
      'more than a thousand',
      concatBytes(...Array.from({ length: 1001 }, () => Uint8Array.of(0x30, 0))),
      'certificate_count',
    ],
    ['a cut last one', concatBytes(leaf.der, root.der.subarray(0, -1)), 'certificate_malformed'],
    ['a byte after the last', concatBytes(leaf.der, Uint8Array.of(0)), 'certificate_malformed'],
    ['something that is no sequence', Uint8Array.of(4, 0), 'certificate_malformed'],
    ['an indefinite length', Uint8Array.of(0x30, 0x80, 0, 0), 'certificate_malformed'],
    ['a length of 16 MiB', Uint8Array.of(0x30, 0x83, 0xff, 0xff, 0xff), 'certificate_malformed'],
    ['a length cut off', Uint8Array.of(0x30, 0x82, 1), 'certificate_malformed'],
  ])('%s', ([, bytes, code]) => {
    expect(codeFrom(() => splitCertificates(bytes))).toBe(code);
  });
});

function summaryOf(der: Uint8Array): unknown {
  try {
    return summary(parseCertificate(der));
  } catch (error) {
    if (error instanceof CertificateError) return error.code;
    throw error;
  }
}

function summary(certificate: Certificate): unknown {
  const {
    basicConstraints,
    keyUsage: usage,
    extendedKeyUsage,
    subjectAltName: names,
    nameConstraints,
    subjectKeyId,
    unknownCritical,
  } = certificate.extensions;
  return {
    serial: certificate.serial,
    issuer: formatName(certificate.issuer),
    subject: formatName(certificate.subject),
    notAfter: new Date(certificate.notAfterMs).toISOString(),
    algorithm: certificate.signatureAlgorithm,
    basicConstraints: basicConstraints ?? null,
    keyUsage: usage === undefined ? null : { critical: usage.critical, usages: [...usage.usages] },
    extendedKeyUsage: extendedKeyUsage ?? null,
    subjectAltName:
      names === undefined ? null : { ...names, ipAddresses: names.ipAddresses.map(toHex) },
    subjectKeyId: subjectKeyId === undefined ? null : toHex(subjectKeyId),
    nameConstraints:
      nameConstraints === undefined
        ? null
        : {
            permitted: nameConstraints.permitted.map(({ kind }) => kind),
            excluded: nameConstraints.excluded.map(({ kind }) => kind),
          },
    unknownCritical,
  };
}

function* everyBit(bytes: Uint8Array): Generator<[index: number, bit: number]> {
  for (let index = 0; index < bytes.length; index += 1) {
    for (let bit = 0; bit < 8; bit += 1) yield [index, bit];
  }
}

function flipped(bytes: Uint8Array, index: number, bit: number): Uint8Array {
  const changed = new Uint8Array(bytes);
  changed[index] = (changed[index] ?? 0) ^ (1 << bit);
  return changed;
}

function codeOf(der: Uint8Array): string {
  return codeFrom(() => parseCertificate(der));
}

function codeFrom(action: () => unknown): string {
  try {
    action();
    return 'ok';
  } catch (error) {
    if (error instanceof CertificateError) return error.code;
    throw error;
  }
}

function bytesOf(base64: string): Uint8Array {
  return fromBase64(base64) ?? new Uint8Array();
}
