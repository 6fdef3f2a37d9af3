/** `signet explain`: why a process has the identities that it has, or none. */

import { Command, InvalidArgumentError } from 'commander';
import type { ExplanationView, LifeView, MatchedEntryView } from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';
import { agentAdminOf, askingAgent, outputOf, withExamples } from '../options.ts';
import { formatTable, visibleText } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function explainCommand(context: ProgramContext): Command {
  const explain = askingAgent(new Command('explain'))
    .description('why a process has the identities that it has, or none')
    .requiredOption('--pid <number>', 'the process, as it is numbered where the agent runs', pidOf)
    .action(async ({ pid }: { pid: number }, command: Command) => {
      const answer = await agentAdminOf(command).explain(pid);
      outputOf(command, context).show(answer, textOf);
    });
  return withExamples(explain, [
    ['signet explain --pid 4711', 'what was found of it, which entries fit, and what the CA said'],
    ['signet explain --pid $$', 'this shell'],
  ]);
}

function pidOf(text: string): number {
  const pid = Number(text);
  if (/^\d+$/.test(text) && pid > 0 && pid < 2 ** 31) return pid;
  throw new InvalidArgumentError('it is not the number of a process.');
}

function textOf(value: ExplanationView): string {
  const { pid, uid, gid, executable, attestors, matched, nearest, rules } = value;
  const found = formatTable(
    ['ATTESTOR', 'TOOK', 'FOUND'],
    attestors.flatMap(({ name, tookMs, selectors, failure }) => {
      const lines = failure === undefined ? selectors : [`FAILED: ${failure}`];
      return (lines.length === 0 ? ['nothing'] : lines).map((line, index) =>
        index === 0 ? [name, `${tookMs} ms`, line] : ['', '', line],
      );
    }),
    'no attestors',
  );
  const notSought = value.notSought.map(
    (prefix) => `not looked for, nothing asks: ${visibleText(prefix)}…\n`,
  );
  const fits = formatTable(
    ['MATCHED', 'SPIFFE ID', 'CA SAID', 'LIFE'],
    matched.map((entry) => [
      `${entry.entryId}${entry.isDefault ? ' (default)' : ''}`,
      entry.spiffeId,
      saidOf(entry),
      entry.life === undefined ? '' : lifeText(entry.life),
    ]),
    `none of ${value.entryCount} entries fits`,
  );
  const misses = formatTable(
    ['NEAR MISS', 'SPIFFE ID', 'LACKS', 'HAS'],
    nearest.map(({ entryId, spiffeId, lacking, present }) => [
      entryId,
      spiffeId,
      lacking.join(' '),
      present.join(' '),
    ]),
    '',
  ).trimStart();
  const considered = formatTable(
    ['RULE', 'TEMPLATE', 'GIVES'],
    rules.map(({ ruleId, template, spiffeId, lacking, faults }) => [
      ruleId,
      template,
      spiffeId ?? `nothing: ${[...lacking.map((one) => `lacks ${one}`), ...faults].join('; ')}`,
    ]),
    '',
  ).trimStart();
  const head = `process ${pid}: uid ${uid}, gid ${gid}, ${visibleText(executable ?? 'executable unknown')}\n`;
  const verdict = `${value.conclusions.map(visibleText).join('\n')}\n`;
  return [head + verdict, found + notSought.join(''), fits, misses, considered]
    .filter((part) => part !== '')
    .join('\n');
}

function saidOf({ verdict, refusal, svid }: MatchedEntryView): string {
  if (verdict === 'refused') return `refused: ${refusal?.reason ?? ''}`;
  return verdict === 'issued' ? `issued ${svid?.serial ?? ''}` : 'not asked yet';
}

function lifeText({ askedMs, issuedMs, leftMs, cappedBy }: LifeView): string {
  const asked = askedMs === undefined ? '' : `${durationText(askedMs)} asked, `;
  const capped = cappedBy === 'none' ? '' : `, cut by its ${cappedBy}`;
  return `${asked}${durationText(issuedMs)} issued, ${durationText(leftMs)} left${capped}`;
}

function durationText(ms: number): string {
  return formatDurationMs(Math.round(ms / 1000) * 1000);
}
