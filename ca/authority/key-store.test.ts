import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { systemRandom, utf8Bytes } from '../../core/index.ts';
import { generateKeyPair } from '../../pki/index.ts';
import { loadKeyEncryptionKey, parseKeyEncryptionKey } from './key-encryption-key.ts';
import { createKeyStore } from './key-store.ts';
import { seal, unseal } from './seal.ts';

const key = createSecretKey(randomBytes(32));
const otherKey = createSecretKey(randomBytes(32));
const plain = utf8Bytes('what is sealed');

describe('a sealed value', () => {
  const sealed = seal(key, 'purpose', plain, systemRandom);

  test('opens with its key and its purpose', () => {
    expect(unseal(key, 'purpose', sealed)).toEqual(plain);
  });

  test('has its own nonce', () => {
    expect(seal(key, 'purpose', plain, systemRandom)).not.toEqual(sealed);
  });

  test.for([
    { name: 'another key', open: () => unseal(otherKey, 'purpose', sealed) },
    { name: 'another purpose', open: () => unseal(key, 'purposf', sealed) },
    { name: 'a cut', open: () => unseal(key, 'purpose', sealed.subarray(0, -1)) },
    { name: 'nothing', open: () => unseal(key, 'purpose', new Uint8Array()) },
    { name: 'another version', open: () => unseal(key, 'purpose', sealed.with(0, 2)) },
  ])('does not open with $name', ({ open }) => {
    expect(open).toThrow(expect.objectContaining({ code: 'authority_record_invalid' }));
  });

  test('does not open when any one byte has changed', () => {
    for (const [index, byte] of sealed.entries()) {
      expect(() => unseal(key, 'purpose', sealed.with(index, byte ^ 1))).toThrow();
    }
  });
});

describe('the key store', () => {
  const keyStore = createKeyStore(key, systemRandom);
  const { privateKey } = generateKeyPair('ec-p256');

  test('gives back the key it sealed, to that authority only', () => {
    const sealed = keyStore.sealKey('a', privateKey);
    expect(keyStore.unsealKey('a', sealed).equals(privateKey)).toBe(true);
    expect(() => keyStore.unsealKey('b', sealed)).toThrow();
  });

  test('knows a wrong key-encryption key before anything is opened with it', () => {
    const check = keyStore.sealCheckValue();
    expect(() => keyStore.checkKey(check)).not.toThrow();
    expect(() => createKeyStore(otherKey, systemRandom).checkKey(check)).toThrow(
      expect.objectContaining({ code: 'kek_wrong', kind: 'failed_precondition' }),
    );
  });
});

describe('a key-encryption key', () => {
  const hex = '00112233445566778899aabbccddeeff'.repeat(2);

  test.for([
    ['hex', hex],
    ['hex with a line end', `${hex}\n`],
    ['base64', Buffer.from(hex, 'hex').toString('base64')],
  ] as const)('is read as %s', ([, text]) => {
    expect(parseKeyEncryptionKey(text, 'here').export().toString('hex')).toBe(hex);
  });

  test.for([
    ['nothing', ''],
    ['31 bytes', hex.slice(2)],
    ['33 bytes', `${hex}00`],
    ['a password', 'correct horse battery staple'],
  ] as const)('is not %s', ([, text]) => {
    expect(() => parseKeyEncryptionKey(text, '/etc/kek')).toThrow(
      expect.objectContaining({
        code: 'kek_malformed',
        message: expect.stringContaining('/etc/kek'),
      }),
    );
  });

  test('its text is in no error', () => {
    expect(() => parseKeyEncryptionKey('hunter2', 'here')).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
    );
  });

  test('from the environment is required when named', async () => {
    await expect(loadKeyEncryptionKey({ env: 'KEK' }, {})).rejects.toMatchObject({
      code: 'kek_missing',
    });
    await expect(loadKeyEncryptionKey({ env: 'KEK' }, { KEK: hex })).resolves.toBeDefined();
  });
});
