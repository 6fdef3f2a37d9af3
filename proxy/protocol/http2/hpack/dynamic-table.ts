/** The dynamic table of one direction (RFC 7541 §2.3.2, §4): newest first, bounded in bytes, oldest evicted. */

import type { Field } from '../field.ts';

export class DynamicTable {
  /** Oldest first, so that growing is a push. */
  readonly #entries: Field[] = [];
  #size = 0;
  #sizeMax: number;
  readonly #onEvict: ((field: Field) => void) | undefined;

  constructor(sizeMax: number, onEvict?: (field: Field) => void) {
    this.#sizeMax = sizeMax;
    this.#onEvict = onEvict;
  }

  get count(): number {
    return this.#entries.length;
  }

  /** By RFC 7541 §4.1. */
  get size(): number {
    return this.#size;
  }

  get sizeMax(): number {
    return this.#sizeMax;
  }

  /** 0 is the newest entry. */
  at(position: number): Field | undefined {
    return this.#entries[this.#entries.length - 1 - position];
  }

  /** §4.4: what is larger than the table empties it and is not there afterwards. Says whether it is. */
  add(field: Field): boolean {
    const size = fieldSize(field);
    this.#evictTo(this.#sizeMax - size);
    if (size > this.#sizeMax) return false;
    this.#entries.push(field);
    this.#size += size;
    return true;
  }

  resize(sizeMax: number): void {
    this.#sizeMax = sizeMax;
    this.#evictTo(sizeMax);
  }

  #evictTo(size: number): void {
    while (this.#size > size) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) return;
      this.#size -= fieldSize(oldest);
      this.#onEvict?.(oldest);
    }
  }
}

/** RFC 7541 §4.1 and RFC 9113 §6.5.2: both count 32 bytes beside the text. */
export function fieldSize(field: Field): number {
  return field.name.length + field.value.length + 32;
}
