/** `signet authority` and `signet bundle`: the keys that sign, and what the mesh trusts. */

import { Command } from 'commander';
import type { AuthorityView, RotationPlan } from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';
import { formatStep, formatTook, rotateRoot } from './authority-rotate.ts';
import { formatProof } from './rotation-proof.ts';

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
      .option('--jwt', 'a key for JWT-SVIDs, instead of a root')
      .action(async ({ jwt = false }: { jwt?: boolean }, command: Command) => {
        show(command, await adminOf(command).prepareAuthority(jwt ? 'jwt' : 'root'));
      }),
    [['signet authority prepare', 'the first step of a root rotation']],
  );

  authority.addCommand(rotateCommand(context));
  authority.addCommand(planCommand(context));

  for (const [verb, description, example] of [
    ['abort', 'take back a root that has signed nothing', 'the root leaves the bundle again'],
    [
      'taint',
      'make anew at once whatever stands under an authority whose key is not to be relied on',
      'the first step after a compromise',
    ],
  ] as const) {
    withExamples(
      administering(authority.command(`${verb} <id>`))
        .description(description)
        .action(async (id: string, _options: unknown, command: Command) => {
          const client = adminOf(command);
          show(
            command,
            await (verb === 'abort' ? client.abortAuthority(id) : client.taintAuthority(id)),
          );
        }),
      [[`signet authority ${verb} 3f9a…`, example]],
    );
  }

  for (const [verb, description, example] of [
    [
      'activate',
      'sign with a published root from now on; refused until enough of the fleet trusts it',
      'the second step',
    ],
    [
      'revoke',
      'drop a tainted authority; refused while a certificate below it lives',
      'the last step after a compromise',
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
          const act = {
            activate: () => client.activateAuthority(id, force),
            retire: () => client.retireAuthority(id, force),
            revoke: () => client.revokeAuthority(id, force),
          }[verb];
          show(command, await act());
        }),
      [[`signet authority ${verb} 3f9a…`, example]],
    );
  }
  return authority;
}

function rotateCommand(context: ProgramContext): Command {
  return withExamples(
    administering(new Command('rotate'))
      .description(
        'rotate the root, or the JWT key: prepare, wait until it is published, activate, wait until the old one is drained, retire; ends with its proof from the audit log',
      )
      .option('--force', 'activate whatever the evidence says, and strand the rest (audited)')
      .option('--jwt', 'the key that signs JWT-SVIDs, instead of the root')
      .action(async (options: { force?: boolean; jwt?: boolean }, command: Command) => {
        const { output } = command.opts<{ output: 'table' | 'json' }>();
        const write = (text: string): void => context.write(`${text}\n`);
        const beginMs = context.clock.wallMs();
        // Timers of ours do not keep a process alive; this one says that it is meant to live.
        const alive = setInterval(() => {}, 60_000);
        const outcome = await rotateRoot({
          admin: adminOf(command),
          tier: options.jwt === true ? 'jwt' : 'root',
          clock: context.clock,
          stopped: context.stopped,
          force: options.force ?? false,
          onStep: (step) => write(output === 'json' ? JSON.stringify(step) : formatStep(step)),
        }).finally(() => clearInterval(alive));
        if (outcome.kind === 'interrupted') {
          if (output === 'table') write('interrupted; nothing is lost, run it again to go on');
          return;
        }
        const { id, proof } = outcome;
        if (output === 'json') {
          write(JSON.stringify({ rotated: id, proof }));
          return;
        }
        const what = options.jwt === true ? 'JWT key' : 'root';
        write(`rotated to ${what} ${id} in ${formatTook(beginMs, context.clock.wallMs())}\n`);
        context.write(formatProof(proof));
      }),
    [
      ['signet authority rotate', 'the whole rotation; after an interruption run it again'],
      ['signet authority rotate --jwt', 'the key of the JWT-SVIDs'],
      ['signet authority rotate -o json', 'one JSON object a step and one with the proof'],
    ],
  );
}

function planCommand(context: ProgramContext): Command {
  return withExamples(
    administering(new Command('plan'))
      .description('each step of a rotation, of the root and of the JWT key, and when it is safe')
      .action(async (_options: unknown, command: Command) => {
        outputOf(command, context).show(await adminOf(command).planRotation(), planText);
      }),
    [['signet authority plan', 'before and during a rotation; it changes nothing']],
  );
}

function planText(plan: RotationPlan): string {
  const nowMs = Date.parse(plan.now);
  const measured = plan.arrivals
    .map(({ share, afterMs }) => `${share * 100} % after ${formatDurationMs(Math.round(afterMs))}`)
    .join(', ');
  const overdue = (at: string | undefined): string =>
    at === undefined ? '' : `Publication is overdue ${formatRelative(at, nowMs)}\n`;
  const { jwt } = plan;
  return [
    stepsText(plan.steps, 'ROOT', nowMs),
    measured === '' ? '' : `Measured: ${measured}\n`,
    overdue(plan.deadlineAt),
    ...(jwt === undefined
      ? []
      : ['\n', stepsText(jwt.steps, 'JWT KEY', nowMs), overdue(jwt.deadlineAt)]),
  ].join('');
}

function stepsText(steps: RotationPlan['steps'], subject: string, nowMs: number): string {
  return formatTable(
    ['STEP', 'STATE', subject, 'SAFE', 'WHY'],
    steps.map(({ step, state, authorityId, at, isEstimate, reason }) => [
      step,
      state,
      authorityId?.slice(0, 8) ?? '-',
      at === undefined ? '-' : `${isEstimate ? '~ ' : ''}${formatRelative(at, nowMs)}`,
      reason,
    ]),
    'nothing to do',
  );
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
    ['Serial', item.serial ?? '-'],
    ['Expires', `${item.notAfter} (${formatRelative(item.notAfter, nowMs)})`],
    ['Published', item.publishedAt ?? '-'],
    ['Tainted', item.taintedAt ?? '-'],
    ['Last leaf ends', item.lastLeafNotAfter ?? '-'],
  ]);
}
