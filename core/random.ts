/** Chance as an argument, so that a seeded run can be replayed. */

import { randomBytes } from 'node:crypto';

export interface Random {
  bytes(length: number): Uint8Array;
  /** A number in [0, 1). For jitter and choice, never for secrets. */
  fraction(): number;
}

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  fraction: () => randomBytes(4).readUInt32BE(0) / 2 ** 32,
};

/** A deterministic source (mulberry32) for tests and simulations; it must never make a secret. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    fraction: () => next() / 2 ** 32,
  };
}
