/** The root of the `signet` command, whatever stands below it, and how it ends. */

import { Command, CommanderError } from 'commander';
import { exitCodeOf } from '../core/index.ts';
import { formatFailure } from './run-program.ts';
import { version } from './version.ts';

/** `signet` with these commands below it. */
export function rootCommand(commands: readonly Command[]): Command {
  const signet = new Command('signet')
    .description('a mesh certificate authority, its agents and its sidecars')
    .version(version);
  for (const command of commands) signet.addCommand(command);
  refuseInOneLine(signet, 'signet');
  return signet;
}

/** How the process ends after this error: what is still to be said, and 2 for a fault of the user's, 1 for ours. */
export function endOf(error: unknown): { readonly exitCode: number; readonly text: string } {
  // What commander refuses it has said already; and help that was asked for is no fault.
  if (error instanceof CommanderError) return { exitCode: error.exitCode === 0 ? 0 : 2, text: '' };
  return { exitCode: exitCodeOf(error), text: formatFailure(error) };
}

/** Wrong usage is told in one line, and ends with 2 as every fault of the user does, not with commander's own 1. */
function refuseInOneLine(command: Command, path: string): void {
  command.exitOverride().configureOutput({
    outputError(text, write) {
      const reason = text
        .replace(/^error: /, '')
        .trimEnd()
        .replaceAll('\n', ' ');
      write(`signet: ${reason}; see ${path} --help\n`);
    },
  });
  for (const sub of command.commands) refuseInOneLine(sub, `${path} ${sub.name()}`);
}
