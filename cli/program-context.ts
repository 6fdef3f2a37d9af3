/** What every command is given: the outside world as values, so that a test can give its own. */

import {
  type Clock,
  jsonLogger,
  type Logger,
  type LogLevel,
  type Random,
  systemClock,
  systemRandom,
} from '../core/index.ts';
import { beginWithCleanAllocator } from './clean-allocator.ts';

export interface ProgramContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Writes to standard output. */
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  logger(program: string, level: LogLevel): Logger;
  /** Aborted by SIGINT or SIGTERM. */
  readonly stopped: AbortSignal;
  /** For programs that hold keys, first of all: may not return, but begin this process anew. */
  beginClean(): void;
}

/** The real world. The first signal asks for a clean stop, the second ends at once. */
export function processContext(): ProgramContext {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(1);
      controller.abort();
    });
  }
  // A reader such as `head` that has gone is no fault of the command.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    clock: systemClock,
    random: systemRandom,
    environment: process.env,
    write: (text) => void process.stdout.write(text),
    isTerminal: process.stdout.isTTY,
    logger: jsonLogger,
    stopped: controller.signal,
    beginClean: beginWithCleanAllocator,
  };
}
