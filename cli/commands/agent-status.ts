/** `signet agent status`: an agent at a glance, from its own admin socket. */

import { Command } from 'commander';
import type { AgentStatusView } from '../../api/index.ts';
import { agentAdminOf, askingAgent, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function agentStatusCommand(context: ProgramContext): Command {
  const status = askingAgent(new Command('status'))
    .description('the node, its link to the CA, what it holds and until when')
    .action(async (_options: unknown, command: Command) => {
      const nowMs = context.clock.wallMs();
      const answer = await agentAdminOf(command).status();
      outputOf(command, context).show(answer, (value) => textOf(value, nowMs));
    });
  return withExamples(status, [
    ['signet agent status', 'is it connected, and how long can it go on'],
    ['signet agent status -o json', 'for a program'],
  ]);
}

function textOf(value: AgentStatusView, nowMs: number): string {
  const { ca, node, survivesUntil } = value;
  const when = (time: string): string => `${time} (${formatRelative(time, nowMs)})`;
  const fields: (readonly [string, string])[] = [
    ['Trust domain', value.trustDomain],
    ['Node', node?.spiffeId ?? 'not attested yet'],
    ['CA', `${ca.state} since ${when(ca.since)}, ${ca.address}`],
    ...(ca.reason === undefined ? [] : [['', ca.reason] as const]),
    ['Ready', value.ready ? 'yes' : `no: ${value.reasons.join('; ')}`],
    ['Node certificate', node === undefined ? 'none' : `ends ${when(node.notAfter)}`],
    ['Goes on until', survivesUntil === undefined ? 'nothing is held' : when(survivesUntil)],
    ['Sealed cache', cacheText(value.cache)],
    ['Revision', value.revision === undefined ? 'none' : String(value.revision)],
    ['Running since', when(value.startedAt)],
    ['Entries', `${value.entryCount}, ${value.svidCount} with a certificate`],
    [
      'SDS',
      `${value.sds.streams} streams; secrets: ${value.sds.acknowledged} acknowledged, ${value.sds.waiting} waiting, ${value.sds.refused} refused`,
    ],
  ];
  const svids = formatTable(
    ['SPIFFE ID', 'SERIAL', 'EXPIRES', 'NEXT', 'ROOT'],
    value.svids.map(({ spiffeId, serial, notAfter, renewAt, rootKeyId }) => [
      spiffeId,
      serial,
      formatRelative(notAfter, nowMs),
      formatRelative(renewAt, nowMs),
      rootKeyId.slice(0, 8),
    ]),
    'no certificates',
  );
  const missing = formatTable(
    ['WITHOUT A CERTIFICATE', 'ENTRY', 'WHY'],
    value.missing.map(({ spiffeId, entryId, refusal }) => [
      spiffeId,
      entryId,
      refusal === undefined ? 'on its way' : refusal.reason,
    ]),
    '',
  ).trimStart();
  const attestors = formatTable(
    ['ATTESTOR', 'STATE', 'FAILURES', 'LAST FAILURE'],
    value.attestors.map(({ name, failing, failureCount, lastFailure }) => [
      name,
      failing ? 'failing' : 'well',
      String(failureCount),
      lastFailure === undefined
        ? ''
        : `${formatRelative(lastFailure.at, nowMs)}: ${lastFailure.reason}`,
    ]),
    'no attestors',
  );
  return [formatFields(fields), svids, missing, attestors].filter((part) => part !== '').join('\n');
}

function cacheText(cache: AgentStatusView['cache']): string {
  if (cache === undefined) return 'none';
  const { kind, reason, path, keyPlace, failure } = cache;
  if (kind === 'off') return `off: ${reason ?? 'not asked for'}`;
  const where = `${path}, key in ${keyPlace}`;
  return failure === undefined ? where : `${where}; not written: ${failure}`;
}
