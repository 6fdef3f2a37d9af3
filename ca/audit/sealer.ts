/**
 * Sealing: writing a signed checkpoint of the newest durable state, one at a time.
 *
 * An append does not wait for its checkpoint: the record itself is what must be durable. What was
 * appended while a checkpoint is being written shares the next one.
 */

import type { KeyObject } from 'node:crypto';
import { replaceFile } from '../../core/index.ts';
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
}

export class Sealer {
  readonly #options: SealerOptions;
  #sealedSize: number;
  #wanted: MerkleTree | undefined;
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor(options: SealerOptions) {
    this.#options = options;
    this.#sealedSize = options.sealedSize ?? -1;
  }

  /** Asks for a checkpoint of `tree`, without waiting. A failure is kept for {@link seal}. */
  request(tree: MerkleTree): void {
    this.#wanted = tree;
    this.#running ??= this.#run();
  }

  /** Whether the last attempt failed, so that what follows must not be built on it. */
  hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when `tree` is sealed; throws why it could not be. */
  async seal(tree: MerkleTree): Promise<void> {
    await this.#running;
    if (this.#sealedSize === tree.size) return;
    this.request(tree);
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** It never rejects. */
  async #run(): Promise<void> {
    for (let tree = this.#take(); tree !== undefined; tree = this.#take()) {
      try {
        await this.#write(tree);
        this.#sealedSize = tree.size;
        this.#failure = undefined;
      } catch (error) {
        this.#failure = error;
      }
    }
    this.#running = undefined;
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
  }
}
