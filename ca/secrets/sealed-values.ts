/**
 * Values at rest: AES-256-GCM under a key of their own, which is sealed under the key-encryption key. So
 * another key-encryption key means one record sealed anew, however many secrets there are.
 */

import { createSecretKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { ReadSecretResponse } from '../../api/index.ts';
import {
  canonicalJson,
  fromBase64,
  type Random,
  toBase64,
  utf8Bytes,
  utf8Text,
} from '../../core/index.ts';
import type { KeyStore } from '../authority/key-store.ts';
import { seal, unseal } from '../authority/seal.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import type { SecretValues } from './named-secret.ts';
import { SecretError } from './secret-error.ts';

export interface SecretSeal {
  /** Bound to the secret's name and version: it opens for no other. */
  sealValues(name: string, version: number, values: SecretValues): Uint8Array;
  /** Throws AuthorityError `authority_record_invalid`. */
  unsealValues(name: string, version: number, sealed: Uint8Array): SecretValues;
}

/** Makes the key at the first start. */
export async function openSecretSeal(deps: {
  readonly store: Pick<Store, 'get' | 'commit'>;
  readonly keyStore: KeyStore;
  readonly random: Random;
}): Promise<SecretSeal> {
  const { random } = deps;
  const key = await loadKey(deps);
  return {
    sealValues(name, version, values) {
      const record = Object.fromEntries(
        [...values].map(([each, value]) => [each, Buffer.from(value)]),
      );
      const plain = ReadSecretResponse.encode({
        version: BigInt(version),
        values: record,
      }).finish();
      try {
        return seal(key, purposeOf(name, version), plain, random);
      } finally {
        plain.fill(0);
        for (const copy of Object.values(record)) copy.fill(0);
      }
    },
    unsealValues(name, version, sealed) {
      const plain = unseal(key, purposeOf(name, version), sealed);
      try {
        const { values } = ReadSecretResponse.decode(plain);
        // Copied: what was decoded may be a view of what is zeroed here.
        return new Map(
          Object.entries(values).map(([each, value]) => [each, new Uint8Array(value)]),
        );
      } finally {
        plain.fill(0);
      }
    },
  };
}

async function loadKey(deps: {
  readonly store: Pick<Store, 'get' | 'commit'>;
  readonly keyStore: KeyStore;
  readonly random: Random;
}): Promise<KeyObject> {
  const { store, keyStore, random } = deps;
  const item = await store.get(recordKey);
  if (item !== undefined) {
    const sealed = parseRecord(item.value);
    return asKey(keyStore.unsealMaster(masterId, sealed));
  }
  const master = random.bytes(keyLength);
  const sealedKey = toBase64(keyStore.sealMaster(masterId, master));
  const result = await store.commit({
    compare: [{ key: recordKey, modRevision: 0 }],
    puts: [{ key: recordKey, value: utf8Bytes(canonicalJson({ id: masterId, sealedKey })) }],
  });
  if (result.kind === 'committed') return asKey(master);
  master.fill(0);
  return loadKey(deps);
}

function asKey(master: Uint8Array): KeyObject {
  try {
    return createSecretKey(master);
  } finally {
    master.fill(0);
  }
}

function parseRecord(value: Uint8Array): Uint8Array {
  try {
    const json: unknown = JSON.parse(utf8Text(value) ?? '');
    const sealed = fromBase64(recordSchema.parse(json).sealedKey);
    if (sealed !== undefined) return sealed;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
  }
  throw new SecretError('secret_record_invalid', `the record ${recordKey} is damaged`, {
    remedy: 'restore the store from a backup',
  });
}

function purposeOf(name: string, version: number): string {
  return `signet secret ${name} ${version}`;
}

const recordKey = storeKeys.setting('secrets-key');
const masterId = 'secrets';
const recordSchema = z.strictObject({ id: z.literal(masterId), sealedKey: z.string() });
const keyLength = 32;
