/** Runs the command line. */

import { processContext } from './program-context.ts';
import { programCommand } from './program-command.ts';
import { endOf } from './root-command.ts';

// A command that waits, such as `audit tail -f`, has nothing else that keeps the process: timers do not.
const awake = setInterval(() => undefined, 60_000);
try {
  const context = processContext();
  const program = programCommand(process.argv[2] ?? '', context);
  // Half of it is for operators, and not even read where a program runs.
  const signet = program ?? (await import('./signet-command.ts')).signetCommand(context);
  await signet.parseAsync();
  process.exitCode = 0;
} catch (error) {
  const { exitCode, text } = endOf(error);
  process.stderr.write(text);
  process.exitCode = exitCode;
} finally {
  clearInterval(awake);
}
