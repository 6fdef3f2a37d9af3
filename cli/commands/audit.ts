/** `signet audit`: read the issuance log, and prove that nobody has changed it. */

import { Command, InvalidArgumentError, Option } from 'commander';
import type { AuditRecordView } from '../../api/index.ts';
import { CodedError, sleep } from '../../core/index.ts';
import { adminOf, administering, answering, outputOf, withExamples } from '../options.ts';
import { formatFields } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

class AuditBroken extends CodedError<'audit_broken'> {
  override readonly name = 'AuditBroken';
  override readonly kind = 'data_loss';
}

export function auditCommand(context: ProgramContext): Command {
  const audit = new Command('audit').description('the issuance log');

  const tail = administering(audit.command('tail'))
    .description('print the newest records')
    .option('-n, --lines <count>', 'how many', wholeNumber, 20)
    .option('-f, --follow', 'go on as records come')
    .action(async (options: { lines: number; follow?: boolean }, command: Command) => {
      const client = adminOf(command);
      const { format } = outputOf(command, context);
      let next = -options.lines;
      do {
        const { records, size } = await client.audit({ from: next });
        for (const record of records) {
          context.write(format === 'json' ? `${JSON.stringify(record)}\n` : lineOf(record));
        }
        next = size;
        if (options.follow === true) await sleep(context.clock, followMs, context.stopped);
      } while (options.follow === true && !context.stopped.aborted);
    });
  withExamples(tail, [
    ['signet audit tail -n 5 -o json', 'the last five records, one JSON object a line'],
  ]);

  const verify = answering(audit.command('verify'))
    .description(
      'check the whole log from its files alone: every record, the tree, the signed checkpoint',
    )
    .addOption(
      new Option('--data <directory>', "the CA's data directory")
        .env('SIGNET_DATA')
        .default('/var/lib/signet/ca'),
    )
    .option(
      '--verifier <key>',
      'the verifier key you noted earlier, instead of the one beside the log',
    )
    .action(async (options: { data: string; verifier?: string }, command: Command) => {
      const { verifyAuditLog } = await import('../../ca/index.ts');
      const result = await verifyAuditLog({
        directory: `${options.data}/audit`,
        ...(options.verifier === undefined ? {} : { verifierKey: options.verifier }),
      });
      outputOf(command, context).show(result, (value) =>
        value.kind === 'ok'
          ? formatFields([
              ['Result', 'the log is whole'],
              ['Records', String(value.size)],
              ['Root hash', value.rootHash],
            ])
          : '',
      );
      if (result.kind === 'broken') {
        throw new AuditBroken(
          'audit_broken',
          `the log is broken at record ${result.index}: ${result.code}: ${result.detail}`,
          {
            remedy: 'keep the files as they are and compare them with a backup',
          },
        );
      }
    });
  withExamples(verify, [['signet audit verify --data /var/lib/signet/ca', 'needs no running CA']]);
  return audit;
}

function lineOf(record: AuditRecordView): string {
  const { index, time, type, ...rest } = record;
  const details = Object.entries(rest)
    .filter(([name]) => name !== 'previous' && name !== 'version')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${String(index).padStart(6)}  ${time}  ${type.padEnd(22)}  ${details.join(' ')}\n`;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('give a whole number above 0');
  return value;
}

const followMs = 500;
