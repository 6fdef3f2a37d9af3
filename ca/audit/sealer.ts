/**
 * Sealing: writing a signed checkpoint of the newest durable state, one at a time.
 *
 * An append does not wait for its checkpoint: the record itself is what must be durable, and whatever
 * a crash keeps from being sealed is sealed when the log opens. So records that follow one another share
 * a checkpoint: the first is sealed at once, the others when its time is up.
 */

import type { KeyObject } from 'node:crypto';
import { type Clock, replaceFile, type Timer } from '../../core/index.ts';
import { signCheckpoint } from './checkpoint.ts';
import { type MerkleTree, rootHashOf } from './merkle.ts';

export interface SealerOptions {
  readonly path: string;
  readonly origin: string;
  readonly signKey: KeyObject;
  /** The size that the checkpoint on the disk speaks of; undefined if there is none. */
  readonly sealedSize: number | undefined;
  /** Writes what whoever holds the checkpoint will ask for; a checkpoint is written only after it. */
  readonly before?: () => Promise<void>;
  readonly clock: Clock;
  /** How far apart checkpoints begin that nobody waits for. */
  readonly everyMs: number;
}

export class Sealer {
  readonly #options: SealerOptions;
  #sealedSize: number;
  #wanted: MerkleTree | undefined;
  #running: Promise<void> | undefined;
  #failure: unknown;
  #timer: Timer | undefined;
  #beganMs = Number.NEGATIVE_INFINITY;

  constructor(options: SealerOptions) {
    this.#options = options;
    this.#sealedSize = options.sealedSize ?? -1;
  }

  /** Asks for a checkpoint of `tree` or a later one, without waiting. A failure is kept for {@link seal}. */
  request(tree: MerkleTree): void {
    this.#wanted = tree;
    this.#schedule();
  }

  /** Whether the last attempt failed, so that what follows must not be built on it. */
  hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when `tree` is sealed, at once; throws why it could not be. */
  async seal(tree: MerkleTree): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#sealedSize === tree.size) return;
    this.#wanted = tree;
    await this.#begin();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #schedule(): void {
    if (this.#running !== undefined || this.#timer !== undefined) return;
    const { clock, everyMs } = this.#options;
    const waitMs = this.#beganMs + everyMs - clock.monotonicMs();
    if (waitMs <= 0) {
      void this.#begin();
      return;
    }
    this.#timer = clock.after(waitMs, () => {
      this.#timer = undefined;
      void this.#begin();
    });
  }

  #begin(): Promise<void> {
    this.#running = this.#run().then(() => {
      this.#running = undefined;
      if (this.#wanted !== undefined) this.#schedule();
    });
    return this.#running;
  }

  /** It never rejects. */
  async #run(): Promise<void> {
    this.#beganMs = this.#options.clock.monotonicMs();
    const tree = this.#take();
    try {
      if (tree !== undefined) await this.#write(tree);
      this.#failure = undefined;
    } catch (error) {
      this.#failure = error;
    }
  }

  #take(): MerkleTree | undefined {
    const tree = this.#wanted;
    this.#wanted = undefined;
    return tree;
  }

  async #write(tree: MerkleTree): Promise<void> {
    const { path, origin, signKey, before } = this.#options;
    await before?.();
    const checkpoint = { origin, size: tree.size, rootHash: rootHashOf(tree) };
    // Anyone who may read the directory may check the log.
    await replaceFile(path, signCheckpoint(checkpoint, signKey), 0o644);
    this.#sealedSize = tree.size;
  }
}
