/** Runs the command line. */

import { processContext } from './program-context.ts';
import { endOf, signetCommand } from './signet-command.ts';

// A command that waits, such as `audit tail -f`, has nothing else that keeps the process: timers do not.
const awake = setInterval(() => undefined, 60_000);
try {
  await signetCommand(processContext()).parseAsync();
  process.exitCode = 0;
} catch (error) {
  const { exitCode, text } = endOf(error);
  process.stderr.write(text);
  process.exitCode = exitCode;
} finally {
  clearInterval(awake);
}
