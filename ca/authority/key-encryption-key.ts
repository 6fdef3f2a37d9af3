/** The key-encryption key: from a file or the environment, never from the store it protects. */

import { createSecretKey, type KeyObject } from 'node:crypto';
import { fromBase64, fromHex, readText } from '../../core/index.ts';
import { AuthorityError } from './authority-error.ts';

export type KeyEncryptionKeySource = { readonly file: string } | { readonly env: string };

/** How a person calls the source. */
export function nameOfSource(source: KeyEncryptionKeySource): string {
  return 'file' in source ? source.file : `environment variable ${source.env}`;
}

/** Throws {@link AuthorityError} `kek_missing` or `kek_malformed`, or FileError. */
export async function loadKeyEncryptionKey(
  source: KeyEncryptionKeySource,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<KeyObject> {
  if ('file' in source) return parseKeyEncryptionKey(await readText(source.file), source.file);
  const text = environment[source.env];
  if (text !== undefined) return parseKeyEncryptionKey(text, nameOfSource(source));
  throw new AuthorityError('kek_missing', `${nameOfSource(source)} is not set`, {
    remedy: 'set it to the key-encryption key, or name a file in keyEncryptionKey',
  });
}

/** 32 bytes as hex or base64, white space around them ignored. `where` names the origin in the error. */
export function parseKeyEncryptionKey(text: string, where: string): KeyObject {
  const trimmed = text.trim();
  const bytes = fromHex(trimmed) ?? fromBase64(trimmed);
  if (bytes?.length === keyLength) return createSecretKey(bytes);
  throw new AuthorityError(
    'kek_malformed',
    `${where} does not hold a key-encryption key: ${keyLength} bytes as hex or base64 are expected`,
    { remedy: 'make one with `openssl rand -hex 32`' },
  );
}

// AES-256 (FIPS 197).
const keyLength = 32;
