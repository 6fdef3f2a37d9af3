/**
 * When the last leaf below each issuing authority ends: exactly in memory, and never too early in the
 * store, where the mark moves in steps so that issuing does not mean writing.
 */

import type { AuthoritySet } from './authority.ts';
import { withLeafMark } from './rotation.ts';

export class LeafMarks {
  readonly #exact = new Map<string, number>();
  readonly #durable = new Map<string, number>();

  /** After a start only the stored marks are known; they are late rather than early. */
  constructor(set: AuthoritySet) {
    this.reloaded(set);
  }

  /** Takes up what the store holds by another's hand: neither's leaves may be forgotten. */
  reloaded(set: AuthoritySet): void {
    this.stored(set);
    for (const [id, notAfterMs] of this.#durable) this.raise(id, notAfterMs);
  }

  raise(id: string, notAfterMs: number): void {
    if (notAfterMs > (this.#exact.get(id) ?? 0)) this.#exact.set(id, notAfterMs);
  }

  durable(id: string): number {
    return this.#durable.get(id) ?? 0;
  }

  /** Takes up what the store now holds. */
  stored(set: AuthoritySet): void {
    this.#durable.clear();
    for (const { id, lastLeafNotAfterMs } of set.authorities) {
      if (lastLeafNotAfterMs !== undefined) this.#durable.set(id, lastLeafNotAfterMs);
    }
  }

  /** The set with the exact marks in the place of the stored ones. */
  applyTo(set: AuthoritySet): AuthoritySet {
    let marked = set;
    for (const { id, state } of set.authorities) {
      const notAfterMs = this.#exact.get(id);
      if (state !== 'retired' && notAfterMs !== undefined) {
        marked = withLeafMark(marked, id, notAfterMs);
      }
    }
    return marked;
  }
}
