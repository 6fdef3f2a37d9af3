/** `signet status`: the mesh at a glance. */

import { Command } from 'commander';
import type { StatusQuery, StatusView } from '../../api/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function statusCommand(context: ProgramContext): Command {
  const status = administering(new Command('status'))
    .description('the state of the CA, its nodes and its log, and which sidecar holds what')
    .option('--node <spiffe-id>', 'what the sidecars of this node hold')
    .option('--spiffe-id <id>', 'what the sidecars of this identity hold')
    .action(async (options: StatusQuery, command: Command) => {
      const nowMs = context.clock.wallMs();
      const { node, spiffeId } = options;
      const query = {
        ...(node === undefined ? {} : { node }),
        ...(spiffeId === undefined ? {} : { spiffeId }),
      };
      outputOf(command, context).show(await adminOf(command).status(query), (value) => {
        const fields = formatFields([
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
        ]);
        const secrets = [
          ...secretsText(value.secrets, nowMs),
          ...holdingsText(value.secrets, nowMs),
        ];
        return [fields, ...secrets].join('\n');
      });
    });
  return withExamples(status, [
    ['signet status', 'the mesh at a glance'],
    [
      'signet status --node spiffe://mesh.test/signet/node/join-token/7a54',
      'what a node’s sidecars hold',
    ],
    ['signet status -o json', 'for a program'],
  ]);
}

/** What sidecars have, by authority, and those that refuse. */
function secretsText({ authorities, refusals }: StatusView['secrets'], nowMs: number): string[] {
  if (authorities.length === 0) return [];
  const counts = formatTable(
    ['AUTHORITY', 'VERSIONS', 'ACKNOWLEDGED', 'WAITING', 'REFUSED', 'NODES'],
    authorities.map(({ authorityKeyId, versions, acknowledged, waiting, refused, nodes }) => [
      authorityKeyId === '' ? 'none (plain secrets)' : authorityKeyId,
      ...[versions, acknowledged, waiting, refused, nodes].map(String),
    ]),
    '',
  );
  const words = formatTable(
    ['REFUSED BY', 'SECRET', 'SINCE', 'NODE', 'BECAUSE'],
    refusals.map(({ spiffeId, name, since, nodeId, error }) => [
      spiffeId,
      name,
      formatRelative(since, nowMs),
      nodeId,
      error,
    ]),
    '',
  ).trimStart();
  return words === '' ? [counts] : [counts, words];
}

/** Which sidecar holds what, since when. */
function holdingsText(
  { holdings, moreHoldings }: StatusView['secrets'],
  nowMs: number,
): readonly string[] {
  if (holdings.length === 0) return [];
  const table = formatTable(
    ['HELD BY', 'SECRET', 'STATE', 'SINCE', 'SIDECARS', 'VERSION', 'NODE'],
    holdings.map(({ spiffeId, name, state, since, clients, version, nodeId }) => [
      spiffeId === '' ? 'no identity' : spiffeId,
      name,
      state,
      formatRelative(since, nowMs),
      String(clients),
      version.slice(0, versionShown),
      nodeId,
    ]),
    '',
  );
  const more = `and ${moreHoldings} more: ask for one node with --node, or for one identity with --spiffe-id\n`;
  return moreHoldings === 0 ? [table] : [table, more];
}

// Enough to tell two versions apart; the JSON has all of it.
const versionShown = 12;
