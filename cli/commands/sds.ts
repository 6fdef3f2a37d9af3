/** `signet sds`: what an agent's SDS clients have, would get, and refuse; keys are never shown. */

import { Command } from 'commander';
import type { OfferedView, SdsClientsView, SdsClientView, SdsEventView } from '../../api/index.ts';
import { agentAdminOf, askingAgent, outputOf, withExamples } from '../options.ts';
import { formatRelative, formatTable, visibleText } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function sdsCommand(context: ProgramContext): Command {
  const sds = new Command('sds').description("an agent's SDS clients: who holds which secret");

  withExamples(
    askingAgent(sds.command('dump'))
      .description('what each client has, and what it would get now; keys are left out')
      .action(async (_options: unknown, command: Command) => {
        const clients = await agentAdminOf(command).sdsClients();
        outputOf(command, context).show(clients, (value) => dumpOf(value, context));
      }),
    [
      ['signet sds dump', 'names, versions, serials, ends and roots, client by client'],
      ['signet sds dump -o json', 'for a program'],
    ],
  );

  withExamples(
    askingAgent(sds.command('watch'))
      .description('every change of a client as it comes, until Ctrl-C')
      .action(async (_options: unknown, command: Command) => {
        const output = outputOf(command, context);
        const line = output.format === 'json' ? JSON.stringify : lineOf;
        const client = agentAdminOf(command);
        await client.watchSds((event) => output.line(line(event)), context.stopped);
      }),
    [
      ['signet sds watch', 'see acknowledgements during a rotation'],
      ['signet sds watch -o json', 'one JSON object a line'],
    ],
  );

  withExamples(
    askingAgent(sds.command('resend [name]'))
      .description('send a secret, or all, again to the streams that hold it')
      .action(async (name: string | undefined, _options: unknown, command: Command) => {
        const streams = await agentAdminOf(command).resend(name);
        outputOf(command, context).show(
          { streams },
          (value) => `sent to ${value.streams} streams\n`,
        );
      }),
    [
      ['signet sds resend', 'everything, to every client'],
      ['signet sds resend ROOTCA', 'one secret, by the name that clients ask by'],
    ],
  );
  return sds;
}

function dumpOf({ total, clients }: SdsClientsView, context: ProgramContext): string {
  const nowMs = context.clock.wallMs();
  const parts = clients.map((client) => {
    const secrets = formatTable(
      ['NAME', 'STATE', 'SINCE', 'VERSION', 'ERROR'],
      [
        ...client.secrets.map(({ name, state, since, version, error = '' }) => [
          name,
          state,
          formatRelative(since, nowMs),
          version,
          error,
        ]),
        ...client.waiting.map((name) => [name, 'not ready', '', '', '']),
      ],
      '  no secret asked for',
    );
    const offered = client.offered === undefined ? '' : offeredOf(client.offered, nowMs);
    return `${visibleText(titleOf(client))}\n${indented(secrets)}${indented(offered)}`;
  });
  const rest = total > clients.length ? `and ${total - clients.length} more\n` : '';
  return parts.length === 0 ? 'no SDS clients\n' : `${parts.join('\n')}${rest}`;
}

function offeredOf({ svids, bundles }: OfferedView, nowMs: number): string {
  const rows = [
    ...svids.map(({ spiffeId, isDefault, serial, notAfter, rootKeyId }) => [
      isDefault ? 'default' : 'identity',
      spiffeId,
      serial ?? 'not issued',
      notAfter === undefined ? '' : formatRelative(notAfter, nowMs),
      (rootKeyId ?? '').slice(0, keyIdShown),
    ]),
    ...bundles.map(({ trustDomain, rootKeyIds }) => [
      'bundle',
      trustDomain,
      '',
      '',
      rootKeyIds.map((id) => id.slice(0, keyIdShown)).join(' '),
    ]),
  ];
  return formatTable(['WOULD GET', 'OF', 'SERIAL', 'EXPIRES', 'ROOTS'], rows, '  nothing');
}

function lineOf({ at, kind, client }: SdsEventView): string {
  const secrets = client.secrets.map(
    ({ name, state, version, error }) =>
      `${name}=${state}@${version.slice(0, versionShown)}${error === undefined ? '' : ` (${error})`}`,
  );
  return `${at}  ${kind.padEnd('changed'.length)}  ${titleOf(client)}  ${[...secrets, ...client.waiting.map((name) => `${name}=not-ready`)].join(' ')}`.trimEnd();
}

function titleOf(client: SdsClientView): string {
  const { pid, uid, executable, spiffeIds, connection } = client;
  const who =
    pid === undefined ? connection : `pid ${pid} (uid ${uid}, ${executable ?? 'unknown'})`;
  return `${who} ${spiffeIds.length === 0 ? 'no identity' : spiffeIds.join(' ')}`;
}

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ');
}

const keyIdShown = 8;
const versionShown = 12;
