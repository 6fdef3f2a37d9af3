/** Revocations, blocks and signed lists as JSON in the store. */

import { z } from 'zod';
import { fromBase64, toBase64, utf8Bytes, utf8Text } from '../../core/index.ts';
import { crlReasons } from '../../pki/index.ts';
import type { StoreItem } from '../store/store.ts';
import type { IssuanceBlock, Revocation } from './revocation.ts';
import { RevocationError } from './revocation-error.ts';

/** The newest list of one issuing authority. */
export interface StoredCrl {
  readonly issuerKeyId: string;
  readonly number: bigint;
  readonly der: Uint8Array;
}

export function formatRevocation(revocation: Revocation): Uint8Array {
  return encode({ ...revocation });
}

/** Throws {@link RevocationError} `revocation_record_invalid`, as all of these. */
export function parseRevocation(item: Pick<StoreItem, 'key' | 'value'>): Revocation {
  return decode(item, revocationSchema);
}

export function formatBlock(block: IssuanceBlock): Uint8Array {
  return encode({ ...block });
}

export function parseBlock(item: Pick<StoreItem, 'key' | 'value'>): IssuanceBlock {
  return decode(item, blockSchema);
}

export function formatStoredCrl({ issuerKeyId, number, der }: StoredCrl): Uint8Array {
  return encode({ issuerKeyId, number: String(number), der: toBase64(der) });
}

export function parseStoredCrl(item: Pick<StoreItem, 'key' | 'value'>): StoredCrl {
  return decode(item, crlSchema);
}

const schemaVersion = 1;
const actor = z.object({
  kind: z.enum(['node', 'admin', 'system']),
  id: z.string(),
  address: z.string().exactOptional(),
  uid: z.int().exactOptional(),
  pid: z.int().exactOptional(),
});
const timeMs = z.int().nonnegative();
const versioned = z.object({ schema: z.literal(schemaVersion) });

const revocationSchema: z.ZodType<Revocation> = z.object({
  serial: z.string().regex(/^[0-9a-f]{2,40}$/),
  spiffeId: z.string(),
  nodeId: z.string().exactOptional(),
  issuerKeyId: z.string(),
  notAfterMs: timeMs,
  reason: z.enum(crlReasons),
  revokedAtMs: timeMs,
  actor,
});

const blockSchema: z.ZodType<IssuanceBlock> = z.object({
  spiffeId: z.string(),
  blockedAtMs: timeMs,
  reason: z.enum(crlReasons),
  actor,
});

const crlSchema: z.ZodType<StoredCrl> = z.object({
  issuerKeyId: z.string(),
  number: z
    .string()
    .regex(/^\d{1,40}$/)
    .transform((text) => BigInt(text)),
  der: z.string().transform((text, context) => {
    const bytes = fromBase64(text);
    if (bytes !== undefined) return bytes;
    context.addIssue({ code: 'custom', message: 'not base64' });
    return z.NEVER;
  }),
});

function encode(value: Readonly<Record<string, unknown>>): Uint8Array {
  return utf8Bytes(JSON.stringify({ schema: schemaVersion, ...value }));
}

function decode<Value>(
  { key, value }: Pick<StoreItem, 'key' | 'value'>,
  schema: z.ZodType<Value>,
): Value {
  try {
    const json: unknown = JSON.parse(utf8Text(value) ?? '');
    // A later shape may mean something else by the same members, so it is refused and not guessed at.
    versioned.parse(json);
    return schema.parse(json);
  } catch (cause) {
    if (!(cause instanceof z.ZodError || cause instanceof SyntaxError)) throw cause;
    throw new RevocationError('revocation_record_invalid', `the store's ${key} cannot be read`, {
      cause,
      remedy: 'run the version of Signet that wrote it, or restore the store from a backup',
    });
  }
}
