/** The whole `signet` command: every program and every operator's verb, put together. */

import { Command, CommanderError } from 'commander';
import { exitCodeOf } from '../core/index.ts';
import { auditCommand } from './commands/audit.ts';
import { authorityCommand } from './commands/authority.ts';
import { bundleCommand } from './commands/bundle.ts';
import { entryCommand } from './commands/entry.ts';
import { explainCommand } from './commands/explain.ts';
import { jwtCommand } from './commands/jwt.ts';
import { nodeCommand } from './commands/node.ts';
import { openApiCommand } from './commands/openapi.ts';
import { agentCommand, caCommand, proxyCommand } from './commands/programs.ts';
import { ruleCommand } from './commands/rule.ts';
import { sdsCommand } from './commands/sds.ts';
import { sdsServerCommand } from './commands/sds-server.ts';
import { secretCommand } from './commands/secret.ts';
import { policyCommand } from './commands/policy.ts';
import { statusCommand } from './commands/status.ts';
import { svidCommand } from './commands/svid.ts';
import { tokenCommand } from './commands/token.ts';
import type { ProgramContext } from './program-context.ts';
import { formatFailure } from './run-program.ts';
import { version } from './version.ts';

export function signetCommand(context: ProgramContext): Command {
  const signet = new Command('signet')
    .description('a mesh certificate authority, its agents and its sidecars')
    .version(version);

  for (const command of [
    caCommand(context),
    agentCommand(context),
    sdsServerCommand(context),
    proxyCommand(context),
    tokenCommand(context),
    entryCommand(context),
    ruleCommand(context),
    secretCommand(context),
    nodeCommand(context),
    bundleCommand(context),
    authorityCommand(context),
    policyCommand(context),
    jwtCommand(context),
    auditCommand(context),
    svidCommand(context),
    sdsCommand(context),
    explainCommand(context),
    statusCommand(context),
    openApiCommand(context),
  ]) {
    signet.addCommand(command);
  }

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
