/**
 * Group commit: what arrives while a write is under way waits and shares the next write.
 *
 * One sync of a disk costs the same for one item as for a hundred, so under load the cost of an
 * item falls, and with no load an item waits for nobody. A disk that is fast would be asked for one
 * sync an item all the same, so where items keep coming the next group may wait for more of them.
 */

import { setTimeout as sleep } from 'node:timers/promises';

export interface GroupCommitOptions<Item, Result> {
  /** The most items written together. */
  readonly groupMax: number;
  /** The most items that may wait. */
  readonly queueMax: number;
  /** While items come several at a time, groups begin at least this far apart; absent: at once. */
  readonly gatherMs?: number | undefined;
  /** Writes a group and answers one result per item, in order; a throw fails the whole group. */
  readonly write: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** The error for an item over `queueMax`. */
  readonly fullError: () => Error;
}

interface Waiter<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit<Item, Result> {
  readonly #options: GroupCommitOptions<Item, Result>;
  readonly #queue: Waiter<Item, Result>[] = [];
  #draining: Promise<void> | undefined;
  #groupSize = 0;
  #groupBeganMs = Number.NEGATIVE_INFINITY;

  constructor(options: GroupCommitOptions<Item, Result>) {
    this.#options = options;
  }

  /** Resolves with the item's result once its group is written. */
  add(item: Item): Promise<Result> {
    if (this.#queue.length >= this.#options.queueMax) {
      return Promise.reject(this.#options.fullError());
    }
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#queue.push({ item, resolve, reject });
    this.#draining ??= this.#drain();
    return promise;
  }

  /** Resolves when nobody waits any more. */
  async drained(): Promise<void> {
    await this.#draining;
  }

  /** Whoever sends one item after another, and waits for each, is not held up: nobody would join it. */
  async #gather(): Promise<void> {
    const { gatherMs = 0, groupMax } = this.#options;
    const isCompany = this.#groupSize > 1 || this.#queue.length > 1;
    if (!isCompany || this.#queue.length >= groupMax) return;
    const waitMs = this.#groupBeganMs + gatherMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
  }

  /** It never rejects: each waiter gets its own error. */
  async #drain(): Promise<void> {
    // Whatever is added in the same turn of the event loop belongs to the first group already.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      await this.#gather();
      const group = this.#queue.splice(0, this.#options.groupMax);
      this.#groupSize = group.length;
      this.#groupBeganMs = performance.now();
      try {
        const results = await this.#options.write(group.map(({ item }) => item));
        if (results.length !== group.length) throw new Error('a group has one result per item');
        for (const [index, result] of results.entries()) group[index]?.resolve(result);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#draining = undefined;
  }
}
