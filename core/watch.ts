/** A value with one writer and many readers, after linkerd's credential store and receivers. */

/** The read-only side: the current value, and a call for each later one. */
export interface Watch<T> {
  current(): T;
  /** Calls `listener` after every change, until the returned function is called. */
  subscribe(listener: (value: T) => void): () => void;
}

/** The writer's side. Listeners are called in the order they came; one that throws stops no other. */
export class WatchSource<T> implements Watch<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();

  constructor(initial: T) {
    this.#value = initial;
  }

  current(): T {
    return this.#value;
  }

  set(value: T): void {
    this.#value = value;
    const failures: unknown[] = [];
    // A copy, because a listener may subscribe or leave while it is told.
    for (const listener of Array.from(this.#listeners)) {
      try {
        listener(value);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'a watcher failed');
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}

/** Resolves with the first value, current or later, for which `accept` holds; rejects on abort. */
export function firstValue<T, Wanted extends T>(
  watch: Watch<T>,
  accept: (value: T) => value is Wanted,
  signal?: AbortSignal,
): Promise<Wanted> {
  const current = watch.current();
  if (accept(current)) return Promise.resolve(current);
  if (signal?.aborted === true) return Promise.reject(abortReason(signal));
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      unsubscribe();
      signal?.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      stop();
      if (signal !== undefined) reject(abortReason(signal));
    };
    const unsubscribe = watch.subscribe((value) => {
      if (!accept(value)) return;
      stop();
      resolve(value);
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}
