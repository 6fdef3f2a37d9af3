/**
 * What of a backup a restored CA may begin with. The lost CA lived on after its backup: whatever it may
 * have given out since must not be given out again with another meaning.
 */

import { utf8Bytes, utf8Text } from '../../core/index.ts';
import { formatSharedRecord, parseSharedRecord } from '../authority/authority-record.ts';
import { tokenCodec } from '../registry/record-codec.ts';
import {
  decodeSecret,
  decodeSecretsRecord,
  encodeSecret,
  encodeSecretsRecord,
  secretsRecordKey,
} from '../secrets/secret-record.ts';
import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import type { StoreItem } from '../store/store.ts';
import { BackupError } from './backup-error.ts';

/** The item as it goes into the restored store; undefined if it must not. */
export function carryOver(item: StoreItem): StoreItem | undefined {
  if (item.key === serialEpochKey) return { ...item, value: nextEpoch(item) };
  if (item.key === authoritiesKey) {
    const record = parseSharedRecord(item.key, item.value);
    const bundleSequence = record.bundleSequence + sequencesAbove;
    return { ...item, value: formatSharedRecord({ ...record, bundleSequence }) };
  }
  // The lost CA may have given later versions other values, and agents know values by their version.
  if (item.key.startsWith(storePrefixes.secrets)) {
    const secret = decodeSecret(item);
    const nextVersion = secret.nextVersion + versionsAbove;
    return { ...item, value: encodeSecret({ ...secret, nextVersion }) };
  }
  if (item.key === secretsRecordKey) {
    const record = decodeSecretsRecord(item);
    const highVersion = record.highVersion + versionsAbove;
    return { ...item, value: encodeSecretsRecord({ ...record, highVersion }) };
  }
  // A join token that was unused then may have been used since: nobody can tell, so nobody may use it.
  if (item.key.startsWith(storePrefixes.tokens)) {
    return tokenCodec.decode(item).used === undefined ? undefined : item;
  }
  return item;
}

function nextEpoch({ key, value }: StoreItem): Uint8Array {
  const text = utf8Text(value) ?? '';
  if (!/^\d{1,10}$/.test(text)) {
    throw new BackupError('backup_corrupt', `the record ${key} of the backup is not a number`);
  }
  return utf8Bytes(String(Number(text) + epochsAbove));
}

const serialEpochKey = storeKeys.setting('serial-epoch');
const authoritiesKey = storeKeys.setting('authorities');
// Each start of a CA takes one epoch of 2^32: this leaves room for as many starts since the backup as for
// restores in the life of a CA.
const epochsAbove = 2 ** 16;
// The bundle's sequence grows with every change of an authority: a few a day.
const sequencesAbove = 2n ** 20n;
// More than an operator puts between two backups.
const versionsAbove = 1000;
