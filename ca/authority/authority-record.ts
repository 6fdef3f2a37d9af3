/** Authorities as they stand in the store: one JSON record each, and one for what they share. */

import { z } from 'zod';
import { canonicalJson, fromBase64, type Json, toBase64, utf8Bytes } from '../../core/index.ts';
import { parseCertificate } from '../../pki/index.ts';
import type { Authority } from './authority.ts';
import { AuthorityError } from './authority-error.ts';

export interface AuthorityRecord {
  readonly authority: Authority;
  /** Absent once the key is destroyed. */
  readonly sealedKey?: Uint8Array;
}

/** What all authorities share. It is written with every change, so its revision guards them all. */
export interface SharedRecord {
  readonly bundleSequence: bigint;
}

export function formatAuthorityRecord({ authority, sealedKey }: AuthorityRecord): Uint8Array {
  const { certificate, above, arrivals, ...plain } = authority;
  return encode({
    version: 1,
    ...plain,
    ...(above === undefined ? {} : { above: above.map(({ der }) => toBase64(der)) }),
    ...(arrivals === undefined ? {} : { arrivals: arrivals.map((each) => ({ ...each })) }),
    certificate: toBase64(certificate.der),
    ...(sealedKey === undefined ? {} : { sealedKey: toBase64(sealedKey) }),
  });
}

/** Throws {@link AuthorityError} `authority_record_invalid`. */
export function parseAuthorityRecord(key: string, value: Uint8Array): AuthorityRecord {
  const record = decode(key, value, authoritySchema);
  const { version: _, certificate, above, sealedKey, ...plain } = record;
  return {
    authority: {
      ...plain,
      certificate: parseCertificate(certificate),
      ...(above === undefined ? {} : { above: above.map((der) => parseCertificate(der)) }),
    },
    ...(sealedKey === undefined ? {} : { sealedKey }),
  };
}

export function formatSharedRecord(record: SharedRecord): Uint8Array {
  return encode({ version: 1, bundleSequence: String(record.bundleSequence) });
}

/** Throws {@link AuthorityError} `authority_record_invalid`. */
export function parseSharedRecord(key: string, value: Uint8Array): SharedRecord {
  const { version: _, ...record } = decode(key, value, sharedSchema);
  return record;
}

const base64Field = z.string().transform((text, context) => {
  const bytes = fromBase64(text);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: 'custom', message: 'not base64' });
  return z.NEVER;
});

const authoritySchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  tier: z.enum(['root', 'issuing']),
  state: z.enum(['prepared', 'published', 'active', 'draining', 'retired']),
  parentId: z.string().exactOptional(),
  certificate: base64Field,
  above: z.array(base64Field).exactOptional(),
  preparedAtMs: z.number(),
  isAutomatic: z.literal(true).exactOptional(),
  pushedAtMs: z.number().exactOptional(),
  arrivals: z.array(z.strictObject({ share: z.number(), atMs: z.number() })).exactOptional(),
  publishedAtMs: z.number().exactOptional(),
  activatedAtMs: z.number().exactOptional(),
  retiredAtMs: z.number().exactOptional(),
  taintedAtMs: z.number().exactOptional(),
  lastLeafNotAfterMs: z.number().exactOptional(),
  sealedKey: base64Field.exactOptional(),
});

const sharedSchema = z.strictObject({
  version: z.literal(1),
  bundleSequence: z
    .string()
    .regex(/^\d{1,20}$/)
    .transform((text) => BigInt(text)),
});

function encode(value: Json): Uint8Array {
  return utf8Bytes(canonicalJson(value));
}

function decode<Schema extends z.ZodType>(
  key: string,
  value: Uint8Array,
  schema: Schema,
): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(value)));
  } catch (error) {
    throw new AuthorityError('authority_record_invalid', `the record ${key} is not understood`, {
      cause: error,
      remedy: 'restore the store from a backup, or use the version of Signet that wrote it',
    });
  }
}
