import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { concatBytes, fromBase64, toHex } from '../core/index.ts';
import vectors from '../test/vectors/x509/requests.json' with { type: 'json' };
import {
  createCertificateRequest,
  CsrError,
  parseCertificateRequest,
} from './certificate-request.ts';
import {
  encodeBitString,
  encodeElement,
  encodeInteger,
  encodeNull,
  encodeObjectIdentifier,
  encodeSequence,
} from './der/encode.ts';
import { generateKeyPair, spkiOf } from './key.ts';
import { encodeName } from './name.ts';
import { keySigner } from './signer.ts';
import type { KeyKind } from './subject-public-key.ts';

describe('requests that others wrote', () => {
  test.for(vectors)('$name', ({ input, expected }) => {
    expect(outcome(fromBase64(input) ?? new Uint8Array())).toBe(expected);
  });
});

describe('our own requests', () => {
  test.for<KeyKind>(['ec-p256', 'ec-p384', 'rsa-2048'])('of %s', async (kind) => {
    const { privateKey, publicKey } = generateKeyPair(kind);
    const request = parseCertificateRequest(await createCertificateRequest(keySigner(privateKey)));
    expect(request.keyKind).toBe(kind);
    expect(request.publicKey.equals(publicKey)).toBe(true);
    expect(toHex(request.spki)).toBe(toHex(spkiOf(publicKey)));
    expect(toHex(request.subject)).toBe('3000');
  });
});

const keys = generateKeyPair('ec-p256');
const otherKeys = generateKeyPair('ec-p256');
const rsaKeys = generateKeyPairSync('rsa', { modulusLength: 2048 });
const spki = spkiOf(keys.publicKey);
const ecdsaSha256 = encodeSequence(encodeObjectIdentifier('1.2.840.10045.4.3.2'));
const rsaSha256 = encodeSequence(encodeObjectIdentifier('1.2.840.113549.1.1.11'), encodeNull());

interface RequestOptions {
  readonly version?: number;
  readonly spki?: Uint8Array;
  readonly attributes?: Uint8Array;
  readonly algorithm?: Uint8Array;
  readonly signWith?: typeof keys;
}

describe('what is refused', () => {
  const point = spki.subarray(-65);
  const ecWith = (...parts: readonly Uint8Array[]): Uint8Array =>
    encodeSequence(
      encodeSequence(
        encodeObjectIdentifier('1.2.840.10045.2.1'),
        encodeObjectIdentifier('1.2.840.10045.3.1.7'),
      ),
      ...parts,
    );
  const offCurve = concatBytes(point.subarray(0, 64), Uint8Array.of((point[64] ?? 0) ^ 1));
  const rsaWith = (modulus: Uint8Array, exponent: number): Uint8Array =>
    encodeSequence(
      encodeSequence(encodeObjectIdentifier('1.2.840.113549.1.1.1'), encodeNull()),
      encodeBitString(encodeSequence(encodeInteger(modulus), encodeInteger(exponent))),
    );
  const even = new Uint8Array(256).fill(0xfe);

  test.for<[name: string, options: RequestOptions, code: string]>([
    ['nothing of this', {}, 'ec-p256'],
    ['version 2', { version: 1 }, 'csr_version'],
    ['no attributes at all', { attributes: new Uint8Array() }, 'csr_malformed'],
    [
      'attributes that are ignored',
      {
        attributes: encodeElement(
          0xa0,
          encodeSequence(encodeObjectIdentifier('1.2.3'), encodeElement(0x31)),
        ),
      },
      'ec-p256',
    ],
    [
      'attributes that are not DER',
      { attributes: encodeElement(0xa0, Uint8Array.of(1, 1, 1)) },
      'csr_malformed',
    ],
    ['a signature by another key', { signWith: otherKeys }, 'csr_signature'],
    ['an algorithm of another type of key', { algorithm: rsaSha256 }, 'csr_signature'],
    [
      'a signature by another type of key',
      { algorithm: rsaSha256, signWith: rsaKeys },
      'csr_signature',
    ],
    [
      'an algorithm with parameters it must not have',
      { algorithm: encodeSequence(encodeObjectIdentifier('1.2.840.10045.4.3.2'), encodeNull()) },
      'csr_algorithm',
    ],
    ['a point off the curve', { spki: ecWith(encodeBitString(offCurve)) }, 'csr_key'],
    ['the point at infinity', { spki: ecWith(encodeBitString(Uint8Array.of(0))) }, 'csr_key'],
    [
      'a point with unused bits',
      { spki: ecWith(encodeBitString(concatBytes(point.subarray(0, 64), Uint8Array.of(0)), 3)) },
      'csr_key',
    ],
    ['something after the key', { spki: ecWith(encodeBitString(point), encodeNull()) }, 'csr_key'],
    [
      'an even RSA modulus',
      { spki: rsaWith(even, 65_537), algorithm: rsaSha256, signWith: rsaKeys },
      'csr_key',
    ],
    [
      'an RSA key of another than its own',
      {
        spki: spkiOf(rsaKeys.publicKey),
        algorithm: rsaSha256,
        signWith: generateKeyPairSync('rsa', { modulusLength: 2048 }),
      },
      'csr_signature',
    ],
    [
      'an RSA key of its own',
      { spki: spkiOf(rsaKeys.publicKey), algorithm: rsaSha256, signWith: rsaKeys },
      'rsa-2048',
    ],
  ])('%s', ([, options, expected]) => {
    expect(outcome(buildRequest(options))).toBe(expected);
  });

  test('more bytes than are read', () => {
    expect(outcome(new Uint8Array(16 * 1024 + 1))).toBe('csr_size');
  });

  test('bytes after the request, and a request cut anywhere', () => {
    const request = buildRequest({});
    expect(outcome(concatBytes(request, Uint8Array.of(0)))).toBe('csr_malformed');
    for (let length = 0; length < request.length; length += 1) {
      expect(outcome(request.subarray(0, length))).toBe('csr_malformed');
    }
  });

  test('one bit changed in each byte proves nothing any more', () => {
    const request = buildRequest({});
    for (let index = 0; index < request.length; index += 1) {
      const changed = new Uint8Array(request);
      changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
      expect(outcome(changed)).toMatch(/^csr_/);
    }
  });
});

function buildRequest(options: RequestOptions): Uint8Array {
  const info = encodeSequence(
    encodeInteger(options.version ?? 0),
    encodeName({}),
    options.spki ?? spki,
    options.attributes ?? encodeElement(0xa0),
  );
  const { privateKey } = options.signWith ?? keys;
  const signature = encodeBitString(sign('sha256', info, privateKey));
  return encodeSequence(info, options.algorithm ?? ecdsaSha256, signature);
}

function outcome(der: Uint8Array): string {
  try {
    return parseCertificateRequest(der).keyKind;
  } catch (error) {
    if (error instanceof CsrError) return error.code;
    throw error;
  }
}
