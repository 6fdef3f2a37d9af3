/** Cleaning up with a connection, also with one that closed before there was anything to clean. */

export function whenClosed(closed: AbortSignal, action: () => void): void {
  // A listener that is added after the fact would never be called.
  if (closed.aborted) action();
  else closed.addEventListener('abort', action, { once: true });
}
