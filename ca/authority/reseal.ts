/**
 * Every sealed value of a store under a new key-encryption key, in one commit: a crash leaves all of them
 * under the old key or all under the new one.
 */

import type { KeyObject } from 'node:crypto';
import {
  canonicalJson,
  fromBase64,
  type Json,
  type Random,
  toBase64,
  utf8Bytes,
  utf8Text,
} from '../../core/index.ts';
import { auditKeyKey, storeKeys, storePrefixes } from '../store/key-layout.ts';
import type { Compare, Put, Store, StoreItem } from '../store/store.ts';
import { AuthorityError } from './authority-error.ts';
import { checkPurpose, createKeyStore, keyPurpose, masterPurpose } from './key-store.ts';
import { reseal as resealValue } from './seal.ts';

/** How many values were sealed anew. Throws {@link AuthorityError}, `kek_wrong` before anything is changed. */
export async function resealStore(
  store: Pick<Store, 'range' | 'get' | 'commit'>,
  keys: { readonly old: KeyObject; readonly next: KeyObject },
  random: Random,
): Promise<number> {
  const identity = await store.get(identityKey);
  if (identity === undefined) {
    throw new AuthorityError('authority_record_invalid', 'the store holds no CA', {
      remedy: "give the CA's data directory",
    });
  }
  checkOldKey(identity, keys.old, random);
  const ranges = await Promise.all(sealedPrefixes.map((prefix) => store.range({ prefix })));
  let count = 0;
  const puts: Put[] = [];
  const compare: Compare[] = [];
  for (const item of ranges.flatMap(({ items }) => items)) {
    const value = resealed(item, (purposes, sealed) => {
      count += 1;
      return resealValue(keys, purposes, sealed, random);
    });
    if (value === undefined) continue;
    puts.push({ key: item.key, value });
    compare.push({ key: item.key, modRevision: item.modRevision });
  }
  const result = await store.commit({ compare, puts });
  if (result.kind === 'committed') return count;
  throw new AuthorityError('authority_conflict', `${result.key} was changed meanwhile`, {
    remedy: 'stop the CA, then try again',
  });
}

type Reseal = (purposes: readonly string[], sealed: Uint8Array) => Uint8Array;

function checkOldKey({ key, value }: StoreItem, old: KeyObject, random: Random): void {
  const record = parseJson(value);
  const text = isRecord(record) ? record['checkValue'] : undefined;
  const checkValue = typeof text === 'string' ? fromBase64(text) : undefined;
  if (checkValue === undefined) throw damaged(key);
  createKeyStore(old, random).checkKey(checkValue);
}

/** The item's value with every sealed part anew; undefined if there is none in it. */
function resealed({ key, value }: StoreItem, reseal: Reseal): Uint8Array | undefined {
  if (key === auditKeyKey) return reseal([keyPurpose('audit')], value);
  const json = parseJson(value);
  if (json === undefined) return undefined;
  const state = { changed: false };
  const next = walk(key, json, reseal, state);
  return state.changed ? utf8Bytes(canonicalJson(next)) : undefined;
}

/**
 * Records name their sealed key `sealedKey` beside the `id` it is bound to. Anything else that calls itself
 * sealed is not understood, and then nothing is changed: a key left behind under the old seal is lost.
 */
function walk(key: string, value: Json, reseal: Reseal, state: { changed: boolean }): Json {
  if (Array.isArray(value)) return value.map((part: Json) => walk(key, part, reseal, state));
  if (!isRecord(value)) return value;
  const { id } = value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const isCheck = key === identityKey && name === 'checkValue';
      if (!isCheck && !name.startsWith('sealed')) return [name, walk(key, part, reseal, state)];
      const sealed = typeof part === 'string' ? fromBase64(part) : undefined;
      const owner = name === 'sealedKey' && typeof id === 'string' ? id : undefined;
      if (sealed === undefined || (!isCheck && owner === undefined)) throw damaged(key);
      state.changed = true;
      const purposes = isCheck ? [checkPurpose] : purposesOf(owner ?? '');
      return [name, toBase64(reseal(purposes, sealed))];
    }),
  );
}

/** An authority's, a JWT key's, or a master's: the seal itself tells which. */
function purposesOf(id: string): readonly string[] {
  return [keyPurpose(id), keyPurpose(`jwt ${id}`), masterPurpose(id)];
}

function isRecord(value: unknown): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseJson(value: Uint8Array): Json | undefined {
  try {
    const json: Json = JSON.parse(utf8Text(value) ?? '');
    return json;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function damaged(key: string): AuthorityError {
  return new AuthorityError('authority_record_invalid', `the record ${key} is not understood`, {
    remedy: 'use the version of Signet that wrote it',
  });
}

const identityKey = storeKeys.setting('identity');
const sealedPrefixes = [storePrefixes.authorities, storePrefixes.settings] as const;
