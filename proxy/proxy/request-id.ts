/** Request IDs: unique, 32 hexadecimal digits, and cheap enough to give one to every request. */

import { type Random, toHex } from '../../core/index.ts';

/** A random start for the process and a count within it, so that no two proxies give the same. */
export class RequestIds {
  readonly #prefix: string;
  /** The prefix with the digits that change once in {@link lowCount} requests. */
  #high: string;
  #count = 0;

  constructor(random: Random) {
    this.#prefix = toHex(random.bytes(prefixBytes));
    this.#high = this.#highAt(0);
  }

  next(): string {
    this.#count += 1;
    const low = this.#count % lowCount;
    if (low === 0) this.#high = this.#highAt(this.#count / lowCount);
    return this.#high + (lowTexts[low] ?? '');
  }

  #highAt(count: number): string {
    return this.#prefix + hexDigits(count, countDigits - lowDigits);
  }
}

function hexDigits(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

const lowDigits = 3;
const lowCount = 16 ** lowDigits;
// Formatting a number for every request would be the dearest part of an ID.
const lowTexts: readonly string[] = Array.from({ length: lowCount }, (_, low) =>
  hexDigits(low, lowDigits),
);
// 80 random bits keep proxies apart, and 48 bits of count outlast any process.
const prefixBytes = 10;
const countDigits = 12;
