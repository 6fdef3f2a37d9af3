/** The key that signs the audit log's checkpoints: made at the first start, sealed like an authority's. */

import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { auditKeyKey } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import type { KeyStore } from './key-store.ts';

/** Throws AuthorityError `authority_record_invalid` if what is stored does not open. */
export async function loadAuditKey(store: Store, keyStore: KeyStore): Promise<KeyObject> {
  const item = await store.get(auditKeyKey);
  if (item !== undefined) return keyStore.unsealKey(keyName, item.value);
  const { privateKey } = generateKeyPairSync('ed25519');
  const result = await store.commit({
    compare: [{ key: auditKeyKey, modRevision: 0 }],
    puts: [{ key: auditKeyKey, value: keyStore.sealKey(keyName, privateKey) }],
  });
  return result.kind === 'committed' ? privateKey : loadAuditKey(store, keyStore);
}

const keyName = 'audit';
