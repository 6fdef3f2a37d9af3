/**
 * The authorities' journal: every change of the set is one transaction of the store, keys included,
 * so that a kill at any point leaves the state before or the state after.
 */

import type { KeyObject } from 'node:crypto';
import type { TrustDomain } from '../../spiffe/index.ts';
import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import type { Put, Store } from '../store/store.ts';
import { type Authority, type AuthoritySet, emptyAuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import {
  type AuthorityRecord,
  formatAuthorityRecord,
  formatSharedRecord,
  parseAuthorityRecord,
  parseSharedRecord,
} from './authority-record.ts';
import type { KeyStore } from './key-store.ts';

export interface Journal {
  /** What the store holds, as of the last commit. */
  current(): AuthoritySet;
  /** The store's revision of that. */
  revision(): number;
  /** The key of an authority that is not retired. Throws {@link AuthorityError}. */
  privateKey(id: string): KeyObject;
  /**
   * Replaces the set durably. `keys` holds the private keys of authorities that are new in it; the key
   * of one that is retired in it is destroyed by the same transaction.
   */
  commit(next: AuthoritySet, keys: ReadonlyMap<string, KeyObject>): Promise<void>;
}

/** Throws {@link AuthorityError}: wrong key-encryption key, another trust domain's store, broken records. */
export async function openJournal(
  store: Store,
  keyStore: KeyStore,
  trustDomain: TrustDomain,
): Promise<Journal> {
  const loaded = await load(store, keyStore, trustDomain);
  let { set, records, guardRevision, revision } = loaded;
  const { sealedCheckValue } = loaded;

  const recordOf = (
    authority: Authority,
    keys: ReadonlyMap<string, KeyObject>,
  ): AuthorityRecord => {
    if (authority.state === 'retired') return { authority };
    const fresh = keys.get(authority.id);
    const sealedKey =
      fresh === undefined
        ? records.get(authority.id)?.sealedKey
        : keyStore.sealKey(authority.id, fresh);
    return sealedKey === undefined ? { authority } : { authority, sealedKey };
  };

  return {
    current: () => set,
    revision: () => revision,
    privateKey(id) {
      const sealedKey = records.get(id)?.sealedKey;
      if (sealedKey !== undefined) return keyStore.unsealKey(id, sealedKey);
      throw new AuthorityError('authority_state', `authority ${id} has no key any more`);
    },
    async commit(next, keys) {
      const nextRecords = new Map<string, AuthorityRecord>();
      const puts: Put[] = [];
      for (const authority of next.authorities) {
        const before = records.get(authority.id);
        const unchanged = before?.authority === authority;
        const record = unchanged ? before : recordOf(authority, keys);
        nextRecords.set(authority.id, record);
        if (!unchanged) {
          puts.push({
            key: storeKeys.authority(authority.id),
            value: formatAuthorityRecord(record),
          });
        }
      }
      const deletes = [...records.keys()]
        .filter((id) => !nextRecords.has(id))
        .map((id) => storeKeys.authority(id));
      const { bundleSequence } = next;
      puts.push({
        key: guardKey,
        value: formatSharedRecord({ trustDomain, bundleSequence, sealedCheckValue }),
      });
      const compare = [{ key: guardKey, modRevision: guardRevision }];
      const result = await store.commit({ compare, puts, deletes });
      if (result.kind === 'conflict') {
        throw new AuthorityError(
          'authority_conflict',
          'the authorities were changed by another CA',
          {
            remedy: 'try again',
          },
        );
      }
      set = next;
      records = nextRecords;
      guardRevision = result.revision;
      revision = result.revision;
    },
  };
}

async function load(
  store: Store,
  keyStore: KeyStore,
  trustDomain: TrustDomain,
): Promise<{
  set: AuthoritySet;
  records: ReadonlyMap<string, AuthorityRecord>;
  guardRevision: number;
  revision: number;
  sealedCheckValue: Uint8Array;
}> {
  const guard = await store.get(guardKey);
  if (guard === undefined) {
    const sealedCheckValue = keyStore.sealCheckValue();
    return {
      set: emptyAuthoritySet,
      records: new Map(),
      guardRevision: 0,
      revision: 0,
      sealedCheckValue,
    };
  }
  const shared = parseSharedRecord(guardKey, guard.value);
  if (shared.trustDomain !== trustDomain) {
    throw new AuthorityError(
      'authority_trust_domain',
      `the store belongs to trust domain ${shared.trustDomain}, not to ${trustDomain}`,
      { remedy: 'give each trust domain its own data directory' },
    );
  }
  keyStore.checkKey(shared.sealedCheckValue);
  const { items } = await store.range({ prefix: storePrefixes.authorities });
  const records = items.map(({ key, value }) => parseAuthorityRecord(key, value));
  const authorities = records
    .map(({ authority }) => authority)
    // The store orders by key id; the bundle and the lists are in the order of making (serials only grow).
    .toSorted(
      (left, right) =>
        left.preparedAtMs - right.preparedAtMs ||
        (left.certificate.serial < right.certificate.serial ? -1 : 1),
    );
  return {
    set: { authorities, bundleSequence: shared.bundleSequence },
    records: new Map(records.map((record) => [record.authority.id, record])),
    guardRevision: guard.modRevision,
    revision: guard.modRevision,
    sealedCheckValue: shared.sealedCheckValue,
  };
}

const guardKey = storeKeys.setting('authorities');
