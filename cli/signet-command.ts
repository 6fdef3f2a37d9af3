/** The whole `signet` command: every program and every operator's verb, put together. */

import type { Command } from 'commander';
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
import { rootCommand } from './root-command.ts';

export function signetCommand(context: ProgramContext): Command {
  return rootCommand([
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
  ]);
}
