/** Request IDs: unique, 32 hexadecimal digits, and cheap enough to give one to every request. */

import { type Random, toHex } from '../../core/index.ts';

/** A random start for the process and a count within it, so that no two proxies give the same. */
export class RequestIds {
  readonly #prefix: string;
  #count = 0;

  constructor(random: Random) {
    this.#prefix = toHex(random.bytes(prefixBytes));
  }

  next(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(16).padStart(countDigits, '0');
  }
}

// 80 random bits keep proxies apart, and 48 bits of count outlast any process.
const prefixBytes = 10;
const countDigits = 12;
