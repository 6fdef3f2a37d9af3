/** What runs can be closed, and a whole is closed in the reverse order of its making. */

export interface Closable {
  /** Stops taking work, lets what is under way end within its own bound, and frees what it held. */
  close(): Promise<void>;
}

/** Collects what a program has started, so that a failure half-way or a signal undoes all of it. */
export class Scope implements Closable {
  readonly #closers: (() => Promise<void> | void)[] = [];
  #closing: Promise<void> | undefined;

  add<T extends Closable>(closable: T): T {
    this.#closers.push(() => closable.close());
    return closable;
  }

  onClose(action: () => Promise<void> | void): void {
    this.#closers.push(action);
  }

  /** Closes everything once, last made first; all are closed even if some fail. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const closer of this.#closers.splice(0).toReversed()) {
      try {
        await closer();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be closed');
  }
}
