/** Every program and every operator's verb, put together and run. */

import { Command, CommanderError } from 'commander';
import { exitCodeOf } from '../core/index.ts';
import { auditCommand } from './commands/audit.ts';
import { authorityCommand, bundleCommand } from './commands/authority.ts';
import { entryCommand } from './commands/entry.ts';
import { jwtCommand } from './commands/jwt.ts';
import { nodeCommand, tokenCommand } from './commands/node.ts';
import { openApiCommand } from './commands/openapi.ts';
import { agentCommand, caCommand, proxyCommand } from './commands/programs.ts';
import { ruleCommand } from './commands/rule.ts';
import { policyCommand } from './commands/policy.ts';
import { statusCommand } from './commands/status.ts';
import { svidCommand } from './commands/svid.ts';
import { processContext } from './program-context.ts';
import { formatFailure } from './run-program.ts';
import { version } from './version.ts';

const context = processContext();
const signet = new Command('signet')
  .description('a mesh certificate authority, its agents and its sidecars')
  .version(version)
  .showHelpAfterError('(see --help)');

for (const command of [
  caCommand(context),
  agentCommand(context),
  proxyCommand(context),
  tokenCommand(context),
  entryCommand(context),
  ruleCommand(context),
  nodeCommand(context),
  bundleCommand(context),
  authorityCommand(context),
  policyCommand(context),
  jwtCommand(context),
  auditCommand(context),
  svidCommand(context),
  statusCommand(context),
  openApiCommand(context),
]) {
  signet.addCommand(command);
}

// Wrong usage ends with 2, as every fault of the user does, and not with commander's own 1.
const exitAsUsage = (command: Command): void => {
  command.exitOverride();
  for (const sub of command.commands) exitAsUsage(sub);
};
exitAsUsage(signet);

try {
  await signet.parseAsync();
  process.exitCode = 0;
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(formatFailure(error));
    process.exitCode = exitCodeOf(error);
  }
}
