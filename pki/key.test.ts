import { createHash, generateKeyPairSync } from 'node:crypto';
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
import { isRsaSpki, type KeyKind } from './subject-public-key.ts';

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

describe('what is refused', () => {
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
