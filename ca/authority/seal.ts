/**
 * Sealing: AES-256-GCM under the key-encryption key, so that a copy of the store gives no key away.
 *
 * A sealed value names what it is for in its additional data, so that one cannot be put in the place
 * of another. Layout: version (1) · nonce (12) · tag (16) · ciphertext.
 */

import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import { concatBytes, type Random, utf8Bytes } from '../../core/index.ts';
import { AuthorityError } from './authority-error.ts';

/** `purpose` must be given again to open. `nonce`s come from `random`, which must not repeat. */
export function seal(
  keyEncryptionKey: KeyObject,
  purpose: string,
  plain: Uint8Array,
  random: Random,
): Uint8Array {
  // NIST SP 800-38D §8.2.2: random 96-bit nonces are safe far beyond the few keys a CA ever seals.
  const nonce = random.bytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', keyEncryptionKey, nonce);
  cipher.setAAD(utf8Bytes(purpose));
  const body = concatBytes(cipher.update(plain), cipher.final());
  return concatBytes(Uint8Array.of(version), nonce, cipher.getAuthTag(), body);
}

/** The plain bytes. Throws {@link AuthorityError} `authority_record_invalid` if they do not open. */
export function unseal(
  keyEncryptionKey: KeyObject,
  purpose: string,
  sealed: Uint8Array,
): Uint8Array {
  if (sealed.length < headerLength || sealed[0] !== version) {
    throw new AuthorityError('authority_record_invalid', `${purpose}: not a sealed value`);
  }
  const nonce = sealed.subarray(1, 1 + nonceLength);
  const decipher = createDecipheriv('aes-256-gcm', keyEncryptionKey, nonce, {
    authTagLength: tagLength,
  });
  decipher.setAAD(utf8Bytes(purpose));
  decipher.setAuthTag(sealed.subarray(1 + nonceLength, headerLength));
  try {
    return concatBytes(decipher.update(sealed.subarray(headerLength)), decipher.final());
  } catch (error) {
    throw new AuthorityError('authority_record_invalid', `${purpose}: the seal does not open`, {
      cause: error,
      remedy: 'restore the store from a backup',
    });
  }
}

/** A sealed value under another key. `purposes` are those it may have been sealed for; it keeps its own. */
export function reseal(
  keys: { readonly old: KeyObject; readonly next: KeyObject },
  purposes: readonly string[],
  sealed: Uint8Array,
  random: Random,
): Uint8Array {
  for (const [index, purpose] of purposes.entries()) {
    let plain: Uint8Array;
    try {
      plain = unseal(keys.old, purpose, sealed);
    } catch (error) {
      if (!(error instanceof AuthorityError) || index === purposes.length - 1) throw error;
      continue;
    }
    try {
      return seal(keys.next, purpose, plain, random);
    } finally {
      plain.fill(0);
    }
  }
  throw new AuthorityError('authority_record_invalid', 'a sealed value without a purpose');
}

const version = 1;
const nonceLength = 12;
const tagLength = 16;
const headerLength = 1 + nonceLength + tagLength;
