/**
 * Whose store it is: the trust domain, and a value sealed under the key-encryption key, both written at
 * the first start. A wrong one of either is found before anything is opened or changed.
 */

import { z } from 'zod';
import { canonicalJson, fromBase64, toBase64, utf8Bytes, utf8Text } from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import { AuthorityError } from './authority-error.ts';
import type { KeyStore } from './key-store.ts';

/** Throws {@link AuthorityError} `authority_trust_domain` or `kek_wrong`. */
export async function claimStore(
  store: Store,
  keyStore: KeyStore,
  trustDomain: TrustDomain,
): Promise<void> {
  const item = await store.get(identityKey);
  if (item !== undefined) return checkIdentity(item.value, keyStore, trustDomain);
  const checkValue = toBase64(keyStore.sealCheckValue());
  const value = utf8Bytes(canonicalJson({ version: 1, trustDomain, checkValue }));
  const result = await store.commit({
    compare: [{ key: identityKey, modRevision: 0 }],
    puts: [{ key: identityKey, value }],
  });
  // Another replica was first: what it wrote is what counts.
  if (result.kind === 'conflict') await claimStore(store, keyStore, trustDomain);
}

function checkIdentity(value: Uint8Array, keyStore: KeyStore, trustDomain: TrustDomain): void {
  const parsed = identitySchema.safeParse(parseJson(utf8Text(value) ?? ''));
  const checkValue = parsed.success ? fromBase64(parsed.data.checkValue) : undefined;
  if (!parsed.success || checkValue === undefined) {
    throw new AuthorityError('authority_record_invalid', `the record ${identityKey} is damaged`, {
      remedy: 'restore the store from a backup',
    });
  }
  if (parsed.data.trustDomain !== trustDomain) {
    throw new AuthorityError(
      'authority_trust_domain',
      `the store belongs to trust domain ${parsed.data.trustDomain}, not to ${trustDomain}`,
      { remedy: 'give each trust domain its own data directory' },
    );
  }
  keyStore.checkKey(checkValue);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const identitySchema = z.strictObject({
  version: z.literal(1),
  trustDomain: z.string(),
  checkValue: z.string(),
});

const identityKey = storeKeys.setting('identity');
