/** A benchmark that is stopped leaves no program behind. */

import { describeError, type Scope } from '../core/index.ts';

/** Closes `scope` on the first signal to stop, and ends the process; answers how to take that back. */
export function closeOnSignal(scope: Scope): () => void {
  const stop = (signal: NodeJS.Signals): void => {
    scope
      .close()
      .catch((error: unknown) => process.stderr.write(`bench: ${describeError(error)}\n`))
      .finally(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  for (const signal of signals) process.once(signal, stop);
  return () => {
    for (const signal of signals) process.off(signal, stop);
  };
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
