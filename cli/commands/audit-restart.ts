/** `signet audit restart`: the deliberate way to go on when a log is lost for good. */

import type { Command } from 'commander';
import { answering, outputOf, withExamples } from '../options.ts';
import { formatFields } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function addRestart(audit: Command, context: ProgramContext): void {
  const restart = answering(audit.command('restart'))
    .description(
      'begin a new log, with a new key, because the old one is lost; the CA stands still',
    )
    .requiredOption('--data <directory>', "the CA's data directory")
    .requiredOption('--reason <text>', 'what happened; it is the first record of the new log')
    .requiredOption('--i-lost-the-log', 'that no copy and no backup has it')
    .action(async (options: { data: string; reason: string }, command: Command) => {
      const { restartAuditLog } = await import('../../ca/index.ts');
      const { data, reason } = options;
      const by = `uid:${process.getuid?.() ?? 'unknown'}`;
      const restarted = await restartAuditLog({ data, reason, by, clock: context.clock });
      outputOf(command, context).show(restarted, ({ lost, kept }) =>
        formatFields([
          ['Lost', `${lost.size} records, root ${lost.rootHash}`],
          ['What was left', kept ?? 'nothing'],
          ['Next', 'start the CA, and hand out the new verifier.pub'],
        ]),
      );
    });
  withExamples(restart, [
    [
      'signet audit restart --data /var/lib/signet/ca --reason "disk died" --i-lost-the-log',
      'refused while the log is whole',
    ],
  ]);
}
