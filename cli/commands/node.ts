/** `signet node` and `signet token`: the machines, and how they come in. */

import { Command } from 'commander';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function nodeCommand(context: ProgramContext): Command {
  const node = new Command('node').description('attested nodes');
  withExamples(
    administering(node.command('list'))
      .description('list the nodes, what they hold and whether they are connected')
      .action(async (_options: unknown, command: Command) => {
        const nowMs = context.clock.wallMs();
        outputOf(command, context).show(await adminOf(command).listNodes(), ({ nodes, revision }) =>
          formatTable(
            ['SPIFFE ID', 'CONNECTED', 'APPLIED', 'SVID EXPIRES', 'VERSION'],
            nodes.map((item) => [
              item.spiffeId,
              item.connected ? 'yes' : 'no',
              `${item.appliedRevision}/${revision}`,
              formatRelative(item.svidExpiresAt, nowMs),
              item.agentVersion,
            ]),
            'no nodes; let one in with `signet token create`',
          ),
        );
      }),
    [['signet node list', 'which nodes are connected and up to date']],
  );
  return node;
}

export function tokenCommand(context: ProgramContext): Command {
  const token = new Command('token').description('join tokens, with which a node comes in');
  const create = administering(token.command('create'))
    .description('make a token; it works once, for one key')
    .option('--ttl <seconds>', 'how long it may be used', '600')
    .option('--alias <spiffe-id>', 'an ID that entries may name as parent instead of the node')
    .action(async (options: { ttl: string; alias?: string }, command: Command) => {
      const created = await adminOf(command).createToken({
        ttlSeconds: Number(options.ttl),
        ...(options.alias === undefined ? {} : { alias: options.alias }),
      });
      outputOf(command, context).show(created, (value) =>
        formatFields([
          ['Token', value.token],
          ['Node SPIFFE ID', value.spiffeId],
          ['Expires', value.expiresAt],
          ['Root SHA-256', value.rootSha256],
        ]),
      );
    });
  withExamples(create, [
    [
      'signet token create --ttl 600 --alias spiffe://mesh.test/node/web',
      'for one node of a group',
    ],
    ['signet token create -o json | jq -r .token', 'only the token'],
  ]);
  return token;
}
