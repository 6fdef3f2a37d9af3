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
  /** Random bytes that other keys are made of or sealed under, bound to the id: they open for no other. */
  sealMaster(id: string, master: Uint8Array): Uint8Array;
  /** The bytes, the caller's to zero. Throws {@link AuthorityError} `authority_record_invalid`. */
  unsealMaster(id: string, sealed: Uint8Array): Uint8Array;
  /** Stored once, so that a wrong key-encryption key is known before anything is opened with it. */
  sealCheckValue(): Uint8Array;
  /** Throws {@link AuthorityError} `kek_wrong`. */
  checkKey(sealedCheckValue: Uint8Array): void;
}

/** How errors name the key and what it seals. */
export interface SealedWhere {
  readonly key: string;
  readonly store: string;
}

export function createKeyStore(
  keyEncryptionKey: KeyObject,
  random: Random,
  where: SealedWhere = unnamed,
): KeyStore {
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
    sealMaster: (id, master) => seal(keyEncryptionKey, masterPurpose(id), master, random),
    unsealMaster: (id, sealed) => unseal(keyEncryptionKey, masterPurpose(id), sealed),
    sealCheckValue: () => seal(keyEncryptionKey, checkPurpose, checkValue, random),
    checkKey(sealedCheckValue) {
      if (opens(keyEncryptionKey, sealedCheckValue)) return;
      throw new AuthorityError(
        'kek_wrong',
        `${where.key} is not the one that ${where.store} is sealed with`,
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

export function masterPurpose(id: string): string {
  return `signet master ${id}`;
}

export const checkPurpose = 'signet key-encryption key check';
const checkValue = utf8Bytes('signet');
const unnamed: SealedWhere = { key: 'the key-encryption key', store: 'this store' };
