/** Options that several commands share, and how a command is run with them. */

import { Command, Option } from 'commander';
import {
  type AdminClient,
  adminClient,
  type AgentAdminClient,
  agentAdminClient,
} from '../api/index.ts';
import { adminTargetOf } from './admin-target.ts';
import { createOutput, type Output } from './output.ts';
import type { ProgramContext } from './program-context.ts';

export const defaultAdminSocket = '/var/lib/signet/ca/admin.sock';
export const defaultAgentSocket = '/run/signet/agent.sock';
const defaultAgentAdminSocket = '/run/signet/agent-admin.sock';

/** A command that answers something: it takes `-o table|json`. */
export function answering(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to answer')
      .choices(['table', 'json'])
      .default('table'),
  );
}

/** A command that asks the CA's admin API, on its socket or over mutual TLS. */
export function administering(command: Command): Command {
  return answering(command)
    .addOption(
      new Option('--socket <path>', "the CA's admin socket")
        .env('SIGNET_ADMIN_SOCKET')
        .default(defaultAdminSocket),
    )
    .addOption(
      new Option(
        '--admin-address <host:port>',
        "the CA's admin listener instead, with an SVID of this process",
      ).env('SIGNET_ADMIN_ADDRESS'),
    )
    .addOption(
      new Option('--svid-socket <address>', 'where that SVID comes from')
        .env('SPIFFE_ENDPOINT_SOCKET')
        .default(`unix://${defaultAgentSocket}`),
    );
}

/** A command that asks an agent's admin API, on the machine where it runs. */
export function askingAgent(command: Command): Command {
  return answering(command).addOption(
    new Option('--socket <path>', "the agent's admin socket")
      .env('SIGNET_AGENT_ADMIN_SOCKET')
      .default(defaultAgentAdminSocket),
  );
}

export function agentAdminOf(command: Command): AgentAdminClient {
  return agentAdminClient(command.opts<{ socket: string }>().socket);
}

export function outputOf(command: Command, context: ProgramContext): Output {
  const { output } = command.opts<{ output: 'table' | 'json' }>();
  return createOutput(output, context.write);
}

export function adminOf(command: Command): AdminClient {
  const options = command.opts<{ socket: string; adminAddress?: string; svidSocket: string }>();
  const { socket, adminAddress, svidSocket } = options;
  return adminClient(adminTargetOf({ socket, adminAddress, svidSocket }));
}

/** Help with examples beneath, each a command line and what it is for. */
export function withExamples(
  command: Command,
  examples: readonly (readonly [string, string])[],
): Command {
  const lines = examples.map(([line, purpose]) => `  # ${purpose}\n  $ ${line}`).join('\n\n');
  return command.addHelpText('after', `\nExamples:\n${lines}\n`);
}
