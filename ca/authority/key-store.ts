/** Private keys at rest: PKCS#8, each sealed under the key-encryption key with its own nonce and id. */

import type { KeyObject } from 'node:crypto';
import { equalBytes, type Random, utf8Bytes } from '../../core/index.ts';
import { privateKeyFromPkcs8Der, privateKeyToPkcs8Der } from '../../pki/index.ts';
import { AuthorityError } from './authority-error.ts';
import { seal, unseal } from './seal.ts';

export interface KeyStore {
  /** The key as it may be stored, bound to the authority's id: it opens for no other. */
  sealKey(authorityId: string, privateKey: KeyObject): Uint8Array;
  /** Throws {@link AuthorityError} `authority_record_invalid`. */
  unsealKey(authorityId: string, sealed: Uint8Array): KeyObject;
  /** Stored once, so that a wrong key-encryption key is known before anything is opened with it. */
  sealCheckValue(): Uint8Array;
  /** Throws {@link AuthorityError} `kek_wrong`. */
  checkKey(sealedCheckValue: Uint8Array): void;
}

export function createKeyStore(keyEncryptionKey: KeyObject, random: Random): KeyStore {
  return {
    sealKey(authorityId, privateKey) {
      const plain = privateKeyToPkcs8Der(privateKey);
      try {
        return seal(keyEncryptionKey, keyPurpose(authorityId), plain, random);
      } finally {
        plain.fill(0);
      }
    },
    unsealKey(authorityId, sealed) {
      const plain = unseal(keyEncryptionKey, keyPurpose(authorityId), sealed);
      try {
        return privateKeyFromPkcs8Der(plain);
      } finally {
        plain.fill(0);
      }
    },
    sealCheckValue: () => seal(keyEncryptionKey, checkPurpose, checkValue, random),
    checkKey(sealedCheckValue) {
      if (opens(keyEncryptionKey, sealedCheckValue)) return;
      throw new AuthorityError(
        'kek_wrong',
        'the key-encryption key is not the one that the keys of this store are sealed with',
        { remedy: 'give the key that was used when the store was made' },
      );
    },
  };
}

function opens(keyEncryptionKey: KeyObject, sealedCheckValue: Uint8Array): boolean {
  try {
    return equalBytes(unseal(keyEncryptionKey, checkPurpose, sealedCheckValue), checkValue);
  } catch (error) {
    if (error instanceof AuthorityError) return false;
    throw error;
  }
}

/** What a sealed key is for, as its seal names it. */
export function keyPurpose(authorityId: string): string {
  return `signet authority key ${authorityId}`;
}

export const checkPurpose = 'signet key-encryption key check';
const checkValue = utf8Bytes('signet');
