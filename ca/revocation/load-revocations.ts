/** What the store holds of revocations, read at start. */

import { storePrefixes } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import type { IssuanceBlock, Revocation } from './revocation.ts';
import {
  parseBlock,
  parseRevocation,
  parseStoredCrl,
  type StoredCrl,
} from './revocation-record.ts';

/** Throws RevocationError `revocation_record_invalid`, or StoreError. */
export async function loadRevocations(store: Store): Promise<{
  readonly revocations: readonly Revocation[];
  readonly blocks: readonly IssuanceBlock[];
  readonly crls: ReadonlyMap<string, StoredCrl>;
}> {
  const read = async (prefix: string) => (await store.range({ prefix })).items;
  const revocations = (await read(storePrefixes.revocations)).map(parseRevocation);
  const blocks = (await read(storePrefixes.blockedIds)).map(parseBlock);
  const crls = (await read(storePrefixes.revocationLists)).map(parseStoredCrl);
  return {
    // The store orders by serial; lists show the newest first.
    revocations: revocations.toSorted((left, right) => left.revokedAtMs - right.revokedAtMs),
    blocks,
    crls: new Map(crls.map((crl) => [crl.issuerKeyId, crl])),
  };
}
