/** Named secrets in the store: the heads, without values, and the one record that is about all of them. */

import { z } from 'zod';
import { utf8Bytes, utf8Text } from '../../core/index.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { StoreItem } from '../store/store.ts';
import type { NamedSecret } from './named-secret.ts';
import { SecretError } from './secret-error.ts';

/** How many secrets there are, and above which number the versions of a new one begin. */
export interface SecretsRecord {
  readonly count: number;
  readonly highVersion: number;
}

export function encodeSecret(secret: NamedSecret): Uint8Array {
  return utf8Bytes(JSON.stringify({ schema: 1, ...secret }));
}

/** Throws {@link SecretError} `secret_record_invalid`, naming the key. */
export function decodeSecret(item: Pick<StoreItem, 'key' | 'value'>): NamedSecret {
  const { schema: _schema, ...secret } = read(item, secretSchema);
  return secret;
}

export function encodeSecretsRecord(record: SecretsRecord): Uint8Array {
  return utf8Bytes(JSON.stringify({ schema: 1, ...record }));
}

export function decodeSecretsRecord(item: Pick<StoreItem, 'key' | 'value'>): SecretsRecord {
  const { count, highVersion } = read(item, secretsSchema);
  return { count, highVersion };
}

function read<Schema extends z.ZodType>(
  { key, value }: Pick<StoreItem, 'key' | 'value'>,
  schema: Schema,
): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(utf8Text(value) ?? ''));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    throw new SecretError('secret_record_invalid', `the store's ${key} cannot be read`, {
      cause: error,
      remedy: 'run the version of Signet that wrote it, or restore the store from a backup',
    });
  }
}

export const secretsRecordKey = storeKeys.setting('secrets');

const version = z.int().positive();
const secretSchema = z.strictObject({
  schema: z.literal(1),
  name: z.string(),
  allow: z.array(z.string()).min(1),
  nextVersion: version,
  versions: z
    .array(
      z.strictObject({
        version,
        createdAtMs: z.int().nonnegative(),
        by: z.string(),
        values: z.array(z.strictObject({ name: z.string(), bytes: z.int().positive() })),
      }),
    )
    .min(1),
});
const secretsSchema = z.strictObject({
  schema: z.literal(1),
  count: z.int().nonnegative(),
  highVersion: z.int().nonnegative(),
});
