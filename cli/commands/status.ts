/** `signet status`: the mesh at a glance. */

import { Command } from 'commander';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function statusCommand(context: ProgramContext): Command {
  const status = administering(new Command('status'))
    .description('the state of the CA, its nodes and its log')
    .action(async (_options: unknown, command: Command) => {
      const nowMs = context.clock.wallMs();
      outputOf(command, context).show(await adminOf(command).status(), (value) =>
        formatFields([
          ['Trust domain', value.trustDomain],
          ['Agents connect to', value.agentAddress],
          ['Running since', `${value.startedAt} (${formatRelative(value.startedAt, nowMs)})`],
          ['Nodes connected', `${value.nodesConnected} of ${value.nodes}`],
          ['Entries', String(value.entries)],
          ['Certificates issued', `${value.issued} since the start`],
          ['Active root', value.activeRootId],
          ['Active issuing', value.activeIssuingId],
          ['Audit log', `${value.audit.size} records, root ${value.audit.rootHash}`],
          ['Revision', String(value.revision)],
        ]),
      );
    });
  return withExamples(status, [['signet status -o json', 'for a program']]);
}
