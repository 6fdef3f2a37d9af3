/** The entries under one parent, always in the order of identities. */

import type { RegistrationEntry } from './registration-entry.ts';

export class EntryList {
  #entries: RegistrationEntry[] = [];
  /** Somebody holds the array: the next change is made to a copy. */
  #isShared = false;

  isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** The same array until something changes, and never changed itself. */
  inOrder(): readonly RegistrationEntry[] {
    this.#isShared = true;
    return this.#entries;
  }

  /** An entry with this id must not be in the list. */
  put(entry: RegistrationEntry): void {
    const entries = this.#own();
    entries.splice(placeOf(entries, entry), 0, entry);
  }

  delete(entry: RegistrationEntry): void {
    const entries = this.#own();
    const at = placeOf(entries, entry);
    if (entries[at]?.id === entry.id) entries.splice(at, 1);
  }

  #own(): RegistrationEntry[] {
    if (this.#isShared) this.#entries = [...this.#entries];
    this.#isShared = false;
    return this.#entries;
  }
}

/** A workload's default identity first: by priority, then by age, then by id. */
export function inOrderOfIdentity(left: RegistrationEntry, right: RegistrationEntry): number {
  return (
    right.priority - left.priority ||
    left.createdAtMs - right.createdAtMs ||
    (left.id < right.id ? -1 : Number(left.id > right.id))
  );
}

/** How many come before `entry`. */
function placeOf(entries: readonly RegistrationEntry[], entry: RegistrationEntry): number {
  let [low, high] = [0, entries.length];
  const last = entries.at(-1);
  // They are read in the order of their ids, which is mostly that of their age: the end is the usual place.
  if (last === undefined || inOrderOfIdentity(last, entry) < 0) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = entries[middle];
    if (there !== undefined && inOrderOfIdentity(there, entry) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
