/** The bytes of Envoy's DataSource. Only what is inline counts: a file name would mean a secret on a disk. */

import { Buffer } from 'node:buffer';
import type { DataSource } from '../../api/index.ts';
import { SecretError } from './secret-error.ts';

/** Throws {@link SecretError}. The caller owns the bytes and may wipe them. */
export function inlineBytes(source: DataSource | undefined, what: string): Buffer {
  const specifier = source?.specifier;
  if (specifier?.$case === 'inlineBytes') return specifier.value;
  if (specifier?.$case === 'inlineString') return Buffer.from(specifier.value, 'utf8');
  throw new SecretError(
    'secret_source',
    specifier === undefined
      ? `${what} is missing`
      : `${what} is a file name, and only inline bytes are taken`,
  );
}
