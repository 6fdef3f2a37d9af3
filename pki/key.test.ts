import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { toHex } from '../core/index.ts';
import {
  generateKeyPair,
  keyIdOf,
  keyKindOf,
  privateKeyFromPkcs8Der,
  privateKeyToPkcs8Der,
  publicKeyFromSpki,
  spkiOf,
} from './key.ts';
import { verifySignature } from './signature-algorithm.ts';
import { keySigner } from './signer.ts';
import { isRsaSpki, type KeyKind, keyKindOfSpki } from './subject-public-key.ts';

describe('a key pair', () => {
  test.for<KeyKind>(['ec-p256', 'ec-p384', 'rsa-2048'])('of %s', async (kind) => {
    const { privateKey, publicKey } = generateKeyPair(kind);
    expect(keyKindOf(publicKey)).toBe(kind);
    expect(keyKindOf(privateKey)).toBe(kind);
    expect(isRsaSpki(spkiOf(publicKey))).toBe(kind.startsWith('rsa'));
    expect(publicKeyFromSpki(spkiOf(publicKey)).equals(publicKey)).toBe(true);
    expect(privateKeyFromPkcs8Der(privateKeyToPkcs8Der(privateKey)).equals(privateKey)).toBe(true);

    const signer = keySigner(privateKey);
    const bytes = Uint8Array.of(1, 2, 3);
    const signature = await signer.sign(bytes);
    expect(verifySignature(signer.algorithm, signer.publicKey, bytes, signature)).toBe(true);
    expect(verifySignature(signer.algorithm, signer.publicKey, Uint8Array.of(1), signature)).toBe(
      false,
    );
  });
});

test('the key identifier is the start of the SHA-256 of the key bits (RFC 7093 §2, method 1)', () => {
  const { publicKey } = generateKeyPair('ec-p256');
  const point = spkiOf(publicKey).subarray(-65);
  expect(toHex(keyIdOf(publicKey))).toBe(
    createHash('sha256').update(point).digest('hex').slice(0, 40),
  );
});

describe('a signature', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const rsa = generateKeyPair('rsa-2048');
  const ec = generateKeyPair('ec-p256');

  // node:crypto goes by the key alone, so the algorithm a certificate names must be held against it.
  test.for([
    ['an RSA key as RSA', 'rsa-sha256', rsa, true],
    ['an RSA key as ECDSA', 'ecdsa-sha256', rsa, false],
    ['an EC key as ECDSA', 'ecdsa-sha256', ec, true],
    ['an EC key as RSA', 'rsa-sha256', ec, false],
  ] as const)('by %s', ([, algorithm, { privateKey, publicKey }, expected]) => {
    const signature = sign('sha256', bytes, privateKey);
    expect(verifySignature(algorithm, publicKey, bytes, signature)).toBe(expected);
  });
});

describe('what is refused', () => {
  // OpenSSL reads 06 and 07 before both coordinates as the same point as 04.
  test.for([
    ['04', 'ok'],
    ['06', 'key_malformed'],
    ['07', 'key_malformed'],
  ])('a point that begins with %s: %s', ([marker = '', expected]) => {
    const spki = new Uint8Array(spkiOf(generateKeyPair('ec-p256').publicKey));
    spki[spki.length - 65] = Number.parseInt(marker, 16);
    const read = (): KeyKind => keyKindOfSpki(spki);
    if (expected === 'ok') expect(read()).toBe('ec-p256');
    else expect(read).toThrow(expect.objectContaining({ code: expected }));
  });

  test.for([
    ['P-521', () => generateKeyPairSync('ec', { namedCurve: 'P-521' }), 'key_kind_unsupported'],
    ['Ed25519', () => generateKeyPairSync('ed25519'), 'key_kind_unsupported'],
    [
      'RSA of 1024 bits',
      () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
      'key_kind_unsupported',
    ],
  ] as const)('a signer of %s', ([, generate, code]) => {
    expect(() => keySigner(generate().privateKey)).toThrow(expect.objectContaining({ code }));
  });

  test('bytes that are no key, without showing them', () => {
    const bytes = Buffer.from('secret bytes');
    const code = 'key_malformed';
    expect(() => privateKeyFromPkcs8Der(bytes)).toThrow(expect.objectContaining({ code }));
    expect(() => privateKeyFromPkcs8Der(bytes)).not.toThrow(/secret/);
    expect(() => publicKeyFromSpki(bytes)).toThrow(expect.objectContaining({ code }));
  });
});
