/**
 * Session-ticket keys: what all sidecars of one identity seal their TLS tickets with, on whatever node, so
 * that a client may come back to any of them. Derived from one random master for each epoch, so nothing is
 * stored for each identity; a master is forgotten with its epoch, and what it made cannot be made again.
 */

import { hkdfSync } from 'node:crypto';
import { z } from 'zod';
import {
  canonicalJson,
  type Clock,
  fromBase64,
  type Random,
  toBase64,
  utf8Bytes,
  utf8Text,
} from '../../core/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { KeyStore } from '../authority/key-store.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store, StoreItem } from '../store/store.ts';
import { SecretError } from './secret-error.ts';

export interface TicketKeys {
  /** 80 bytes each, newest first; the caller's to zero. */
  readonly keys: readonly Uint8Array[];
  /** When the epoch of the newest began: it names the set. */
  readonly epochMs: number;
  readonly refreshAtMs: number;
}

export interface TicketKeySource {
  /** Throws {@link SecretError}, AuthorityError or StoreError. */
  keysOf(id: SpiffeId): Promise<TicketKeys>;
}

export interface TicketKeyDeps {
  readonly store: Pick<Store, 'get' | 'commit'>;
  readonly keyStore: KeyStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly epochMs: number;
}

interface Master {
  readonly id: string;
  readonly beganMs: number;
  readonly sealedKey: string;
}

export function createTicketKeys(deps: TicketKeyDeps): TicketKeySource {
  const { store, keyStore, clock, random, epochMs } = deps;
  /** The masters of now, newest first; a new epoch is begun by whoever asks first in it. */
  const current = async (): Promise<readonly Master[]> => {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const item = await store.get(recordKey);
      const masters = item === undefined ? [] : parseMasters(item);
      const nowMs = clock.wallMs();
      const [newest] = masters;
      if (newest !== undefined && nowMs < newest.beganMs + epochMs) return masters;
      const beganMs = Math.floor(nowMs / epochMs) * epochMs;
      const next = [newMaster(beganMs), ...masters]
        .filter((each) => each.beganMs > beganMs - epochsServed * epochMs)
        .slice(0, epochsServed);
      const result = await store.commit({
        compare: [{ key: recordKey, modRevision: item?.modRevision ?? 0 }],
        puts: [{ key: recordKey, value: utf8Bytes(canonicalJson({ masters: next.map(plain) })) }],
      });
      if (result.kind === 'committed') return next;
    }
    throw new SecretError('secret_changed', 'the epoch of session-ticket keys is changing', {
      remedy: 'try again',
    });
  };
  const newMaster = (beganMs: number): Master => {
    const id = `tickets ${beganMs}`;
    const master = random.bytes(masterLength);
    try {
      return { id, beganMs, sealedKey: toBase64(keyStore.sealMaster(id, master)) };
    } finally {
      master.fill(0);
    }
  };
  const derive = ({ id, sealedKey }: Master, spiffeId: SpiffeId): Uint8Array => {
    const sealed = fromBase64(sealedKey);
    if (sealed === undefined) throw damaged();
    const master = keyStore.unsealMaster(id, sealed);
    try {
      // RFC 5869 §3.2: what tells the outputs apart is `info`; a uniformly random input needs no salt.
      return new Uint8Array(hkdfSync('sha256', master, '', infoOf(spiffeId), keyLength));
    } finally {
      master.fill(0);
    }
  };
  return {
    async keysOf(spiffeId) {
      const masters = await current();
      const beganMs = masters[0]?.beganMs ?? 0;
      return {
        keys: masters.map((master) => derive(master, spiffeId)),
        epochMs: beganMs,
        refreshAtMs: beganMs + epochMs,
      };
    },
  };
}

function plain({ id, beganMs, sealedKey }: Master) {
  return { id, beganMs, sealedKey };
}

function infoOf(spiffeId: SpiffeId): Uint8Array {
  return utf8Bytes(`signet session-ticket key v1 ${spiffeId}`);
}

function parseMasters(item: StoreItem): readonly Master[] {
  try {
    const json: unknown = JSON.parse(utf8Text(item.value) ?? '');
    return recordSchema.parse(json).masters;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    throw damaged();
  }
}

function damaged(): SecretError {
  return new SecretError('secret_record_invalid', `the record ${recordKey} is damaged`, {
    remedy: 'restore the store from a backup',
  });
}

const recordKey = storeKeys.setting('ticket-masters');
const recordSchema = z.strictObject({
  masters: z
    .array(
      z.strictObject({ id: z.string(), beganMs: z.int().nonnegative(), sealedKey: z.string() }),
    )
    .min(1),
});
const masterLength = 32;
// Envoy, TlsSessionTicketKeys: 80 bytes, of which it makes the name, the HMAC key and the AES key.
const keyLength = 80;
// The first seals and all open: a ticket is good for two epochs more.
const epochsServed = 3;
const attemptsMax = 16;
