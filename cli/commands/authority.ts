/** `signet authority` and `signet bundle`: the keys that sign, and what the mesh trusts. */

import { Command } from 'commander';
import type { AuthorityView } from '../../api/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function authorityCommand(context: ProgramContext): Command {
  const authority = new Command('authority').description('signing authorities and their rotation');
  const show = (command: Command, value: AuthorityView): void =>
    outputOf(command, context).show(value, (shown) => fieldsOf(shown, context.clock.wallMs()));

  withExamples(
    administering(authority.command('list'))
      .description('list roots and issuing authorities, and who trusts them')
      .action(async (_options: unknown, command: Command) => {
        outputOf(command, context).show(
          await adminOf(command).listAuthorities(),
          ({ authorities }) => tableOf(authorities, context.clock.wallMs()),
        );
      }),
    [['signet authority list', 'state, expiry and how far each root has got']],
  );

  withExamples(
    administering(authority.command('prepare'))
      .description('make a new root and publish it in the bundle; nothing is signed with it yet')
      .action(async (_options: unknown, command: Command) => {
        show(command, await adminOf(command).prepareAuthority());
      }),
    [['signet authority prepare', 'the first step of a root rotation']],
  );

  for (const [verb, description, example] of [
    [
      'activate',
      'sign with a prepared root from now on; refused until everybody trusts it',
      'the second step',
    ],
    [
      'retire',
      'take a draining root out of the bundle; refused while a certificate below it lives',
      'the last step',
    ],
  ] as const) {
    withExamples(
      administering(authority.command(`${verb} <id>`))
        .description(description)
        .option(
          '--force',
          'go on although the evidence says that somebody would be stranded (audited)',
        )
        .action(async (id: string, options: { force?: boolean }, command: Command) => {
          const client = adminOf(command);
          const force = options.force ?? false;
          show(
            command,
            verb === 'activate'
              ? await client.activateAuthority(id, force)
              : await client.retireAuthority(id, force),
          );
        }),
      [[`signet authority ${verb} 3f9a…`, example]],
    );
  }
  return authority;
}

export function bundleCommand(context: ProgramContext): Command {
  const bundle = new Command('bundle').description("the trust domain's bundle");
  withExamples(
    administering(bundle.command('show'))
      .description('print the bundle as a SPIFFE JWKS document')
      .action(async (_options: unknown, command: Command) => {
        const text = await adminOf(command).bundle();
        context.write(text.endsWith('\n') ? text : `${text}\n`);
      }),
    [
      [
        'signet bundle show > bundle.json',
        'for an agent that starts with the bundle instead of a root hash',
      ],
    ],
  );
  return bundle;
}

function tableOf(authorities: readonly AuthorityView[], nowMs: number): string {
  return formatTable(
    ['ID', 'TIER', 'STATE', 'EXPIRES', 'NODES', 'SIDECARS'],
    authorities.map((item) => [
      item.id,
      item.tier,
      item.state,
      formatRelative(item.notAfter, nowMs),
      item.propagation === undefined
        ? '-'
        : `${item.propagation.nodesApplied} of ${item.propagation.nodes}`,
      item.propagation === undefined
        ? '-'
        : `${item.propagation.acknowledged} of ${item.propagation.subscribers}`,
    ]),
    'no authorities',
  );
}

function fieldsOf(item: AuthorityView, nowMs: number): string {
  return formatFields([
    ['ID', item.id],
    ['Tier', item.tier],
    ['State', item.state],
    ['Serial', item.serial],
    ['Expires', `${item.notAfter} (${formatRelative(item.notAfter, nowMs)})`],
    ['Last leaf ends', item.lastLeafNotAfter ?? '-'],
  ]);
}
