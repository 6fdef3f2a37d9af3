/** Time as an argument: wall time for what is written down, monotonic time for what is waited for. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. May jump; use it only to compare with written times. */
  wallMs(): number;
  /** Milliseconds since an arbitrary start. Never goes back; use it for every wait and duration. */
  monotonicMs(): number;
  /** Calls `action` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, action: () => void): Timer;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, action) {
    // Node fires a longer timer at once; a wait that long is re-armed by whoever asked for it.
    const handle = setTimeout(action, Math.min(Math.max(delayMs, 0), timerMsMax));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`, or at once when `signal` is aborted; it never rejects. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Calls `action` once whatever else is ready now, sockets above all, has had its turn. */
export function afterTurn(action: () => void): void {
  setImmediate(action);
}

const timerMsMax = 2 ** 31 - 1;
