/** Sends the newest state of a watch on a stream, however slow its reader: old states are skipped, not queued. */

import type { Watch } from '../core/index.ts';
import type { Outgoing } from '../rpc/index.ts';

/**
 * Sends `messageOf` of the current state and of each later one until `signal` is aborted. Undefined sends
 * nothing for that state. Throws what `messageOf` throws, which ends the stream with it.
 */
export async function streamStates<State, Message>(
  watch: Watch<State>,
  out: Outgoing<Message>,
  signal: AbortSignal,
  messageOf: (state: State) => Message | undefined,
): Promise<void> {
  let sent: State | undefined;
  let wake = (): void => {};
  const unsubscribe = watch.subscribe(() => wake());
  const stop = (): void => wake();
  signal.addEventListener('abort', stop, { once: true });
  try {
    while (!signal.aborted) {
      const state = watch.current();
      if (state !== sent) {
        sent = state;
        const message = messageOf(state);
        if (message !== undefined) out.send(message);
        await out.drained();
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', stop);
  }
}
