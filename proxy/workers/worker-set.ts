/** Workers as they are started, watched, replaced when one ends, and drained together. */

import {
  type BackoffPolicy,
  backoffMs,
  type Clock,
  type Closable,
  CodedError,
  type Logger,
  type Random,
  sleep,
} from '../../core/index.ts';

/** A process that serves the same ports as its siblings. */
export interface WorkerProcess {
  readonly pid: number;
  /** Its admin port, once it serves; undefined if it ended before. */
  readonly started: Promise<number | undefined>;
  /** How it ended. Never rejects. */
  readonly ended: Promise<string>;
  /** Asks it to drain and to end. */
  stop(): void;
}

export interface WorkerSetDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly spawn: () => WorkerProcess;
}

export class WorkersError extends CodedError<'worker_failed'> {
  override readonly name = 'WorkersError';
  override readonly kind = 'failed_precondition';
}

/** Each worker has a place; who ends in it unasked is followed by another. */
export class WorkerSet implements Closable {
  readonly #deps: WorkerSetDeps;
  readonly #closing = new AbortController();
  readonly #places: { process: WorkerProcess; adminPort: number | undefined }[] = [];
  readonly #watches: Promise<void>[] = [];

  private constructor(deps: WorkerSetDeps) {
    this.#deps = deps;
  }

  /** Throws {@link WorkersError} if one of them ends before it serves; the others are stopped then. */
  static async start(count: number, deps: WorkerSetDeps): Promise<WorkerSet> {
    const set = new WorkerSet(deps);
    for (let place = 0; place < count; place += 1) {
      set.#places.push({ process: deps.spawn(), adminPort: undefined });
    }
    const ports = await Promise.all(set.#places.map(({ process }) => process.started));
    const failed = ports.indexOf(undefined);
    if (failed !== -1) {
      await set.close();
      throw new WorkersError('worker_failed', `worker ${failed + 1} ended before it served`, {
        remedy: 'what it said itself stands above',
      });
    }
    ports.forEach((port, place) => set.#watch(place, port));
    return set;
  }

  /** The admin ports in the order of their places; undefined where a worker is being replaced. */
  adminPorts(): readonly (number | undefined)[] {
    return this.#places.map(({ adminPort }) => adminPort);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const { process } of this.#places) process.stop();
    await Promise.all(this.#places.map(({ process }) => process.ended));
    await Promise.all(this.#watches);
  }

  #watch(place: number, adminPort: number | undefined): void {
    const at = this.#places[place];
    if (at === undefined) return;
    at.adminPort = adminPort;
    this.#watches.push(this.#keep(place, at));
  }

  async #keep(
    place: number,
    at: { process: WorkerProcess; adminPort: number | undefined },
  ): Promise<void> {
    const { clock, random, log, spawn } = this.#deps;
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const reason = await at.process.ended;
      at.adminPort = undefined;
      if (signal.aborted) return;
      log.error('a worker ended and is replaced', {
        worker: place + 1,
        pid: at.process.pid,
        reason,
      });
      await sleep(clock, backoffMs(replacement, attempt, random), signal);
      if (signal.aborted) return;
      at.process = spawn();
      at.adminPort = await at.process.started;
      if (at.adminPort !== undefined) attempt = -1;
    }
  }
}

// The siblings serve meanwhile; one that ends again and again must not take the core from them.
const replacement: BackoffPolicy = { baseMs: 200, maxMs: 30_000 };
