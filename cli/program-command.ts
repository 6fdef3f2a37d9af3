/** The programs that run for long, without the operator's commands: what is loaded beside a program stays in its memory. */

import type { Command } from 'commander';
import { agentCommand, caCommand, proxyCommand } from './commands/programs.ts';
import { sdsServerCommand } from './commands/sds-server.ts';
import type { ProgramContext } from './program-context.ts';
import { rootCommand } from './root-command.ts';

/** The command by that name, alone below `signet`; undefined if it is no program. It is as it is in the whole of `signet`. */
export function programCommand(name: string, context: ProgramContext): Command | undefined {
  const program = programs.get(name);
  return program === undefined ? undefined : rootCommand([program(context)]);
}

const programs: ReadonlyMap<string, (context: ProgramContext) => Command> = new Map([
  ['ca', caCommand],
  ['agent', agentCommand],
  ['sds-server', sdsServerCommand],
  ['proxy', proxyCommand],
]);
