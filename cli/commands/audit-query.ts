/** `signet audit tail` and `query`: read the records, over the admin API or from the files alone. */

import type { Command } from 'commander';
import type { AuditRecordView, HoldingView } from '../../api/index.ts';
import { CodedError, sleep } from '../../core/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';
import { canonicalLine, lineOf, readingArchive, timeOption, wholeNumber } from './audit-options.ts';

class AuditUsage extends CodedError<'audit_usage'> {
  override readonly name = 'AuditUsage';
  override readonly kind = 'invalid_argument';
}

interface TailOptions {
  readonly lines: number;
  readonly follow?: boolean;
  readonly data?: string;
}

interface QueryFlags {
  readonly data?: string;
  readonly archive?: string;
  readonly type?: readonly string[];
  readonly spiffeId?: string;
  readonly serial?: string;
  readonly node?: string;
  readonly actor?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
  readonly held?: string;
}

export function addTail(audit: Command, context: ProgramContext): void {
  const tail = administering(audit.command('tail'))
    .description('print the newest records')
    .option('-n, --lines <count>', 'how many', wholeNumber, 20)
    .option('-f, --follow', 'go on as records come')
    .option('--data <directory>', "read this CA's files; no CA needs to run")
    .action(async (options: TailOptions, command: Command) => {
      const print = printer(command, context);
      if (options.data === undefined) await tailOver(command, context, options, print);
      else await tailFiles(`${options.data}/audit`, context, options, print);
    });
  withExamples(tail, [
    ['signet audit tail -n 5 -o json', 'the last five records, one JSON object a line'],
    ['signet audit tail -f --data /var/lib/signet/ca', 'from the files, as they grow'],
  ]);
}

export function addQuery(audit: Command, context: ProgramContext): void {
  const query = readingArchive(administering(audit.command('query')))
    .description('find records, or who could have held an identity')
    .option('--data <directory>', "read this CA's files; no CA needs to run")
    .option('--type <types...>', 'types such as svid.issued, or svid.* for all of a kind')
    .option('--spiffe-id <id>', "a certificate's, an entry's or a node's")
    .option('--serial <hex>', "a certificate's serial number, or a token's jti")
    .option('--node <id>', 'what this node did, and what was done to it')
    .option('--actor <id>', 'who did it: uid:0, a SPIFFE ID, ca')
    .option('--from <time>', 'RFC 3339 or a date; that moment and later', timeOption)
    .option('--to <time>', 'before that moment', timeOption)
    .option('--limit <count>', 'at most so many records', wholeNumber, 1000)
    .option(
      '--held <id>',
      'who could have held this SPIFFE ID from --from to --to: serials, keys, nodes',
    )
    .action(async (options: QueryFlags, command: Command) => {
      if (options.archive !== undefined && options.data === undefined) {
        throw new AuditUsage('audit_usage', '--archive reads files', { remedy: 'give --data too' });
      }
      if (options.held !== undefined) await printHeld(options.held, options, command, context);
      else if (options.data === undefined) await queryOver(options, command, context);
      else await queryFiles(options.data, options, command, context);
    });
  withExamples(query, [
    ['signet audit query --type svid.denied --from 2026-11-22', 'what was refused since then'],
    ['signet audit query --serial 3f9c --data /var/lib/signet/ca', 'all about one certificate'],
    [
      'signet audit query --held spiffe://mesh.test/web --from 2026-11-22T08:00Z --to 2026-11-22T09:00Z',
      'who could have been web in that hour',
    ],
  ]);
}

type Print = (record: AuditRecordView) => void;

function printer(command: Command, context: ProgramContext): Print {
  const { format } = outputOf(command, context);
  return (record) =>
    context.write(format === 'json' ? `${canonicalLine(record)}\n` : lineOf(record));
}

async function tailOver(
  command: Command,
  context: ProgramContext,
  options: TailOptions,
  print: Print,
): Promise<void> {
  const client = adminOf(command);
  let next = -options.lines;
  do {
    const { records, size } = await client.audit({ from: next });
    for (const record of records) print(record);
    next = size;
    if (options.follow === true) await sleep(context.clock, followMs, context.stopped);
  } while (options.follow === true && !context.stopped.aborted);
}

async function tailFiles(
  directory: string,
  { clock, stopped: signal }: ProgramContext,
  options: TailOptions,
  print: Print,
): Promise<void> {
  const { followRecords, readTail } = await import('../../ca/index.ts');
  const records = await readTail({ directory, count: options.lines });
  for (const record of records) print({ ...record });
  if (options.follow !== true) return;
  const from = (records.at(-1)?.index ?? -1) + 1;
  for await (const record of followRecords({ directory, from, clock, signal })) {
    print({ ...record });
  }
}

async function queryOver(
  options: QueryFlags,
  command: Command,
  context: ProgramContext,
): Promise<void> {
  const { type, spiffeId, serial, node, actor, from, to, limit } = options;
  const filter = { type: type?.join(','), spiffeId, serial, node, actor, from, to };
  const client = adminOf(command);
  const print = printer(command, context);
  let left = limit;
  for (let after: number | undefined; ; ) {
    const page = await client.queryAudit({ ...filter, after, limit: Math.min(left, pageMax) });
    for (const record of page.records) print(record);
    left -= page.records.length;
    if (page.next === undefined || left <= 0) return;
    after = page.next;
  }
}

async function queryFiles(
  data: string,
  options: QueryFlags,
  command: Command,
  context: ProgramContext,
): Promise<void> {
  const { queryAudit } = await import('../../ca/index.ts');
  const { type, spiffeId, serial, node, actor, from, to, archive } = options;
  const print = printer(command, context);
  let left = options.limit;
  for await (const record of queryAudit({
    directory: `${data}/audit`,
    archive,
    types: type,
    spiffeId,
    serial,
    node,
    actor,
    fromMs: msOf(from),
    toMs: msOf(to),
  })) {
    print({ ...record });
    left -= 1;
    if (left === 0) return;
  }
}

async function printHeld(
  spiffeId: string,
  options: QueryFlags,
  command: Command,
  context: ProgramContext,
): Promise<void> {
  const { data, archive, from, to } = options;
  if (from === undefined || to === undefined) {
    throw new AuditUsage('audit_usage', '--held asks about a span of time', {
      remedy: 'give --from and --to',
    });
  }
  let holdings: readonly HoldingView[];
  if (data === undefined) {
    holdings = (await adminOf(command).whoHeld({ spiffeId, from, to })).holdings;
  } else {
    const { heldBy } = await import('../../ca/index.ts');
    const span = { fromMs: Date.parse(from), toMs: Date.parse(to) };
    holdings = await heldBy({ directory: `${data}/audit`, archive, spiffeId, ...span });
  }
  outputOf(command, context).show({ spiffeId, from, to, holdings }, (value) =>
    formatTable(
      [
        'RECORD',
        'KIND',
        'SERIAL',
        'NODE',
        'KEY (SPKI SHA-256)',
        'COULD BE USED',
        'REVOKED',
        'NODE PUT OUT',
      ],
      value.holdings.map(holdingRow),
      `nobody could have held ${spiffeId} from ${from} to ${to}`,
    ),
  );
}

function holdingRow(holding: HoldingView): readonly string[] {
  const { index, kind, serial, node, spkiSha256, overlap, revoked, nodeOut } = holding;
  return [
    String(index),
    kind,
    serial,
    node,
    spkiSha256 ?? '-',
    overlap === undefined ? 'no' : `${overlap.from} to ${overlap.to}`,
    revoked === undefined ? 'no' : `${revoked.time} (record ${revoked.index})`,
    nodeOut === undefined ? 'no' : `${nodeOut.time} (${nodeOut.type}, record ${nodeOut.index})`,
  ];
}

function msOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time);
}

const followMs = 500;
// The most that the admin API gives at once.
const pageMax = 1000;
