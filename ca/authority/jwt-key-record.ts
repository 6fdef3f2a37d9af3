/** The JWT keys as they stand in the store: one record for all, so that every step is one write. */

import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson, fromBase64, toBase64, utf8Bytes, utf8Text } from '../../core/index.ts';
import { publicKeyFromSpki, spkiOf } from '../../pki/index.ts';
import { AuthorityError } from './authority-error.ts';
import type { JwtKeySet } from './jwt-key.ts';
import type { KeyStore } from './key-store.ts';

export interface JwtKeyRecord {
  readonly set: JwtKeySet;
  readonly privateKeys: ReadonlyMap<string, KeyObject>;
}

export function formatJwtKeyRecord(
  { set, privateKeys }: JwtKeyRecord,
  keyStore: KeyStore,
): Uint8Array {
  const keys = set.keys.map(({ publicKey, ...key }) => {
    const privateKey = privateKeys.get(key.id);
    if (privateKey === undefined) throw damaged(`JWT key ${key.id} has no private key`);
    return {
      ...key,
      spki: toBase64(spkiOf(publicKey)),
      sealedKey: toBase64(keyStore.sealKey(sealName(key.id), privateKey)),
    };
  });
  return utf8Bytes(canonicalJson({ version: 1, sequence: String(set.sequence), keys }));
}

/** Throws {@link AuthorityError} `authority_record_invalid`. */
export function parseJwtKeyRecord(value: Uint8Array, keyStore: KeyStore): JwtKeyRecord {
  const parsed = schema.safeParse(parseJson(utf8Text(value) ?? ''));
  if (!parsed.success) throw damaged('the record of the JWT keys is not understood');
  const privateKeys = new Map<string, KeyObject>();
  const keys = parsed.data.keys.map(({ spki, sealedKey, ...key }) => {
    const [publicDer, sealed] = [fromBase64(spki), fromBase64(sealedKey)];
    if (publicDer === undefined || sealed === undefined) {
      throw damaged(`the record of JWT key ${key.id} is not understood`);
    }
    const privateKey = keyStore.unsealKey(sealName(key.id), sealed);
    const publicKey = publicKeyFromSpki(publicDer);
    if (!createPublicKey(privateKey).equals(publicKey)) {
      throw damaged(`the two halves of JWT key ${key.id} do not match`);
    }
    privateKeys.set(key.id, privateKey);
    return { ...key, publicKey };
  });
  return { set: { keys, sequence: BigInt(parsed.data.sequence) }, privateKeys };
}

// Not the bare id: a sealed authority key must not open in the place of a JWT key.
function sealName(id: string): string {
  return `jwt ${id}`;
}

function damaged(message: string): AuthorityError {
  return new AuthorityError('authority_record_invalid', message, {
    remedy: 'restore the store from a backup, or use the version of Signet that wrote it',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const schema = z.strictObject({
  version: z.literal(1),
  sequence: z.string().regex(/^\d{1,20}$/),
  keys: z.array(
    z.strictObject({
      id: z.string(),
      state: z.enum(['prepared', 'published', 'active', 'draining']),
      spki: z.string(),
      preparedAtMs: z.number(),
      isAutomatic: z.literal(true).exactOptional(),
      publishedAtMs: z.number().exactOptional(),
      activatedAtMs: z.number().exactOptional(),
      taintedAtMs: z.number().exactOptional(),
      takesOverByMs: z.number().exactOptional(),
      tokenMsMax: z.number().exactOptional(),
      lastTokenNotAfterMs: z.number().exactOptional(),
      notAfterMs: z.number(),
      sealedKey: z.string(),
    }),
  ),
});
