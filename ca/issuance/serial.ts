/**
 * Serial numbers that cannot repeat. Each start of a CA takes the next epoch from the store, durably and
 * by compare, so no two runs (nor two replicas) share one; within an epoch a counter only grows. The
 * random tail makes the next serial unguessable, which collision attacks on signatures would need.
 *
 * Layout, 17 octets of the 20 that RFC 5280 §4.1.2.2 allows: 01 · epoch (4) · counter (4) · random (8).
 * The leading 01 keeps the integer positive and its length constant.
 */

import { CodedError, type Random } from '../../core/index.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';

export class SerialError extends CodedError<'serial_exhausted' | 'serial_contention'> {
  override readonly name = 'SerialError';
  override readonly kind = 'unavailable';
}

export interface Serials {
  /** Big-endian, positive, never given before. */
  next(): Promise<Uint8Array>;
}

/** Reserves an epoch. Throws {@link SerialError} if others take epochs faster than this one can. */
export async function openSerials(
  store: Store,
  random: Random,
  counterMax: number = counterLimit,
): Promise<Serials> {
  let epoch = await reserveEpoch(store);
  let counter = 0;
  let reserving: Promise<void> | undefined;
  const tails = randomTails(random);

  const reserve = async (): Promise<void> => {
    epoch = await reserveEpoch(store);
    counter = 0;
    reserving = undefined;
  };

  const isUsedUp = (): boolean => counter >= counterMax;

  return {
    async next() {
      // One epoch holds four thousand million serials; the next one is taken when it is used up.
      while (isUsedUp()) await (reserving ??= reserve());
      const serial = new Uint8Array(serialLength);
      const view = new DataView(serial.buffer);
      view.setUint8(0, 1);
      view.setUint32(1, epoch);
      view.setUint32(5, counter);
      counter += 1;
      serial.set(tails(), 9);
      return serial;
    },
  };
}

/** Each asked for once and wiped as it is given; many at a time, because a call costs more than its bytes. */
function randomTails(random: Random): () => Uint8Array {
  let pool = new Uint8Array();
  let used = 0;
  return () => {
    if (used === pool.length) {
      pool = random.bytes(tailsAtOnce * randomLength).slice();
      used = 0;
    }
    const tail = pool.slice(used, used + randomLength);
    pool.fill(0, used, used + randomLength);
    used += randomLength;
    return tail;
  };
}

async function reserveEpoch(store: Store): Promise<number> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const item = await store.get(epochKey);
    const epoch = item === undefined ? 1 : Number(new TextDecoder().decode(item.value)) + 1;
    if (!Number.isSafeInteger(epoch) || epoch > epochMax) {
      throw new SerialError('serial_exhausted', `serial epoch ${epoch} does not fit`);
    }
    const result = await store.commit({
      compare: [{ key: epochKey, modRevision: item?.modRevision ?? 0 }],
      puts: [{ key: epochKey, value: new TextEncoder().encode(String(epoch)) }],
    });
    if (result.kind === 'committed') return epoch;
  }
  throw new SerialError('serial_contention', `no serial epoch after ${attemptsMax} attempts`);
}

const epochKey = storeKeys.setting('serial-epoch');
const serialLength = 17;
const randomLength = 8;
// A kilobyte: what is not given yet would tell the next serials, and so is kept for a moment only.
const tailsAtOnce = 128;
const counterLimit = 2 ** 32;
const epochMax = 2 ** 32 - 1;
// Each lost compare means that another replica started in that moment.
const attemptsMax = 16;
