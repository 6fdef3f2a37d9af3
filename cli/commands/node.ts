/** `signet node`: the machines. */

import { Command } from 'commander';
import type { AdminClient, NodeList, NodeView } from '../../api/index.ts';
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
        const found = await allNodes(adminOf(command));
        outputOf(command, context).show(found, ({ nodes, revision }) =>
          formatTable(
            ['SPIFFE ID', 'CONNECTED', 'APPLIED', 'SVID EXPIRES', 'VERSION'],
            nodes.map((item) => [
              item.spiffeId,
              item.banned === undefined ? (item.connected ? 'yes' : 'no') : 'banned',
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

  withExamples(
    administering(node.command('show <spiffe-id>'))
      .description('show one node and what it proved')
      .action(async (id: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(await adminOf(command).getNode(id), fieldsOf);
      }),
    [['signet node show spiffe://mesh.test/signet/node/join-token/3f…', 'one machine']],
  );

  for (const [name, verb, description, example] of shutting) {
    const command = administering(node.command(`${name} <spiffe-id>`))
      .description(description)
      .option('--reason <text>', 'for the audit log')
      .action(async (id: string, options: { reason?: string }, self: Command) => {
        outputOf(self, context).show(await adminOf(self)[verb](id, reasonOf(options)), fieldsOf);
      });
    withExamples(command, [
      [`signet node ${name} spiffe://mesh.test/signet/node/join-token/3f… --reason lost`, example],
    ]);
  }

  withExamples(
    administering(node.command('prune'))
      .description('forget nodes whose certificate ended long ago; banned ones stay')
      .option('--expired-for <seconds>', 'how long ago at least', '86400')
      .action(async (options: { expiredFor: string }, command: Command) => {
        const expiredForSeconds = Number(options.expiredFor);
        outputOf(command, context).show(
          await adminOf(command).pruneNodes({ expiredForSeconds }),
          ({ spiffeIds }) =>
            [...spiffeIds, `${spiffeIds.length} nodes forgotten`]
              .map((line) => `${line}\n`)
              .join(''),
        );
      }),
    [['signet node prune --expired-for 604800', 'machines gone for a week']],
  );
  return node;
}

const shutting = [
  ['evict', 'evictNode', 'shut a node out now; it may be attested again', 'a machine given up'],
  ['ban', 'banNode', 'shut a node out, whatever it shows, until it is unbanned', 'one not trusted'],
  ['unban', 'unbanNode', 'let a banned node in again', 'after it was looked at'],
] as const;

async function allNodes(client: AdminClient): Promise<NodeList> {
  const nodes: NodeView[] = [];
  for (let after: string | undefined; ; ) {
    const page = await client.listNodes({ limit: 1000, ...(after === undefined ? {} : { after }) });
    nodes.push(...page.nodes);
    if (page.next === undefined) return { nodes, revision: page.revision };
    after = page.next;
  }
}

function reasonOf({ reason }: { reason?: string }): { reason?: string } {
  return reason === undefined ? {} : { reason };
}

function fieldsOf(node: NodeView): string {
  return formatFields([
    ['SPIFFE ID', node.spiffeId],
    ['Attestor', node.attestor],
    ...node.selectors.map((selector) => ['Selector', selector] as const),
    ['Attested', node.attestedAt],
    ['SVID serial', node.svidSerial],
    ['SVID expires', node.svidExpiresAt],
    ['Connected', node.connected ? 'yes' : 'no'],
    ['Banned', node.banned === undefined ? 'no' : `${node.banned.at} ${node.banned.reason}`.trim()],
    ['Agent version', node.agentVersion],
  ]);
}
