/**
 * The authorities' journal: every change of the set is one transaction of the store, keys included,
 * so that a kill at any point leaves the state before or the state after.
 */

import type { KeyObject } from 'node:crypto';
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
  /** Whether the store holds a key of this authority. */
  hasKey(id: string): boolean;
  /** The key of an authority that is not retired. Throws {@link AuthorityError}. */
  privateKey(id: string): KeyObject;
  /**
   * Replaces the set durably. `keys` holds the private keys of authorities that are new in it; the key
   * of one that is retired in it is destroyed by the same transaction. Throws {@link AuthorityError}
   * `authority_conflict` if another CA changed it; the journal then holds what that one wrote.
   */
  commit(next: AuthoritySet, keys: ReadonlyMap<string, KeyObject>): Promise<void>;
}

/** Throws {@link AuthorityError} `authority_record_invalid`. */
export async function openJournal(store: Store, keyStore: KeyStore): Promise<Journal> {
  let { set, records, revision } = await load(store);

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
    hasKey: (id) => records.get(id)?.sealedKey !== undefined,
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
        value: formatSharedRecord({ bundleSequence }),
      });
      const compare = [{ key: guardKey, modRevision: revision }];
      const result = await store.commit({ compare, puts, deletes });
      if (result.kind === 'conflict') {
        // What the other one wrote is what counts; whoever asked judges it anew.
        ({ set, records, revision } = await load(store));
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
      revision = result.revision;
    },
  };
}

async function load(store: Store): Promise<{
  readonly set: AuthoritySet;
  readonly records: ReadonlyMap<string, AuthorityRecord>;
  readonly revision: number;
}> {
  const guard = await store.get(guardKey);
  if (guard === undefined) return { set: emptyAuthoritySet, records: new Map(), revision: 0 };
  const { bundleSequence } = parseSharedRecord(guardKey, guard.value);
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
    set: { authorities, bundleSequence },
    records: new Map(records.map((record) => [record.authority.id, record])),
    revision: guard.modRevision,
  };
}

const guardKey = storeKeys.setting('authorities');
