/** `signet audit prove`, `verify`, `checkpoint` and `archive`: what the files of a log prove. */

import type { Command } from 'commander';
import type { AuditVerdict, ConsistencyVerdict } from '../../ca/index.ts';
import { readText, toBase64, toHex, utf8Text } from '../../core/index.ts';
import { administering, adminOf, answering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';
import {
  AuditBroken,
  keyText,
  lineOf,
  type LogPlace,
  logPlace,
  offline,
  timeOption,
} from './audit-options.ts';

export function addCheckpoint(audit: Command, context: ProgramContext): void {
  const checkpoint = offline(answering(audit.command('checkpoint')))
    .description('print the newest signed checkpoint, to be kept where the CA cannot write')
    .action(async (options: LogPlace, command: Command) => {
      const { newestCheckpoint } = await import('../../ca/index.ts');
      const { note, checkpoint: signed } = await newestCheckpoint(await logPlace(options));
      const { origin, size, rootHash } = signed;
      outputOf(command, context).show(
        { origin, size, rootHash: toHex(rootHash), note },
        (value) => value.note,
      );
    });
  withExamples(checkpoint, [
    ['signet audit checkpoint > monday.checkpoint', 'later: signet audit verify --since it'],
  ]);
}

export function addProve(audit: Command, context: ProgramContext): void {
  const prove = offline(answering(audit.command('prove')))
    .description('print the proof that a record is in the log: by serial number or index')
    .argument('<serial|index>', "a certificate's serial number, or a record's index")
    .action(async (what: string, options: LogPlace, command: Command) => {
      const { formatProofBundle, indexOfSerial, proveRecord } = await import('../../ca/index.ts');
      const place = await logPlace(options);
      // A serial number has sixteen hexadecimal digits and more; an index has twelve at most.
      const index = /^\d{1,12}$/.test(what)
        ? Number(what)
        : await indexOfSerial(place, what.toLowerCase());
      if (index === undefined) {
        throw new AuditBroken('serial_unknown', `no record of ${what} is in the log`, {
          remedy: 'give the serial number in hexadecimal, as signet audit tail shows it',
        });
      }
      const bundle = await proveRecord(place, index);
      outputOf(command, context).show(
        {
          record: utf8Text(bundle.line),
          index: bundle.index,
          hashes: bundle.proof.map(toBase64),
          checkpoint: bundle.checkpoint,
        },
        () => formatProofBundle(bundle),
      );
    });
  withExamples(prove, [
    ['signet audit prove 3f9c > it.tlog-proof', 'by serial number'],
    ['signet audit prove 17 > it.tlog-proof', 'by index'],
  ]);
}

interface VerifyFlags extends LogPlace {
  readonly proof?: string;
  readonly since?: string;
}

export function addVerify(audit: Command, context: ProgramContext): void {
  const verify = offline(answering(audit.command('verify')))
    .description(
      'check the whole log from its files alone: every record, the tree, the tiles, the checkpoint',
    )
    .option('--proof <file>', 'check this proof alone, with the key of --verifier; no log needed')
    .option('--since <file>', 'a checkpoint kept elsewhere: the log must begin with what it signed')
    .action(async (options: VerifyFlags, command: Command) => {
      if (options.proof !== undefined) await verifyProof(options.proof, options, command, context);
      else await verifyLog(options, command, context);
    });
  withExamples(verify, [
    ['signet audit verify --data /var/lib/signet/ca', 'needs no running CA'],
    ['signet audit verify --since monday.checkpoint', 'and that nothing was rewritten since'],
    ['signet audit verify --proof it.tlog-proof --verifier @verifier.pub', 'one record, anywhere'],
  ]);
}

async function verifyProof(
  file: string,
  options: VerifyFlags,
  command: Command,
  context: ProgramContext,
): Promise<void> {
  if (options.verifier === undefined) {
    throw new AuditBroken('verifier_missing', 'a proof is checked with a key you know', {
      remedy: 'give --verifier with the line of verifier.pub',
    });
  }
  const { verifyProofBundle } = await import('../../ca/index.ts');
  const verdict = verifyProofBundle(await readText(file), await keyText(options.verifier));
  outputOf(command, context).show(verdict, (value) =>
    value.kind === 'proven'
      ? `${formatFields([
          ['Result', `record ${value.index} is in the log of ${value.size} records`],
          ['Log', value.origin],
          ['Root hash', value.rootHash],
        ])}${lineOf({ ...value.record })}`
      : '',
  );
  if (verdict.kind === 'refused') {
    throw new AuditBroken(verdict.code, `${file} proves nothing: ${verdict.detail}`, {
      remedy: 'ask for the proof again, and check the key with the log of its origin',
    });
  }
}

async function verifyLog(
  options: VerifyFlags,
  command: Command,
  context: ProgramContext,
): Promise<void> {
  const { proveConsistency, verifyAuditLog } = await import('../../ca/index.ts');
  const place = await logPlace(options);
  const since = options.since === undefined ? undefined : await readText(options.since);
  let result: AuditVerdict | ConsistencyVerdict = await verifyAuditLog({
    ...place,
    ...(since === undefined ? {} : { knownCheckpoint: since }),
  });
  const fields = result.kind === 'ok' ? wholeFields(result) : [];
  if (result.kind === 'ok' && since !== undefined) {
    const consistency = await proveConsistency(place, since);
    if (consistency.kind === 'consistent') fields.push(...consistencyFields(consistency));
    const whole = result;
    const shown = consistency.kind === 'broken' ? consistency : { ...whole, consistency };
    outputOf(command, context).show(shown, () => formatFields(fields));
    result = consistency;
  } else {
    outputOf(command, context).show(result, () => (fields.length > 0 ? formatFields(fields) : ''));
  }
  if (result.kind === 'broken') {
    throw new AuditBroken(
      'audit_broken',
      `the log is broken at record ${result.index}: ${result.code}: ${result.detail}`,
      { remedy: 'keep the files as they are and compare them with a backup' },
    );
  }
}

function wholeFields(value: Extract<AuditVerdict, { kind: 'ok' }>): [string, string][] {
  const fields: [string, string][] = [
    ['Result', 'the log is whole'],
    ['Records', String(value.size)],
    ['Root hash', value.rootHash],
  ];
  if (value.archived > 0) fields.push(['Archived', `${value.archived}, proven by tiles`]);
  if (value.tilesMissing > 0) {
    fields.push(['Tiles missing', `${value.tilesMissing}, made again when the CA starts`]);
  }
  return fields;
}

function consistencyFields(
  value: Extract<ConsistencyVerdict, { kind: 'consistent' }>,
): [string, string][] {
  return [
    ['Since', `${value.firstSize} records, root ${value.firstRootHash}`],
    ['Consistency', `the log only grew: ${value.firstSize} to ${value.size} records`],
    ...value.proof.map((hash): [string, string] => ['', hash]),
  ];
}

export function addArchive(audit: Command, context: ProgramContext): void {
  const archive = administering(audit.command('archive'))
    .description('move sealed segments elsewhere; tiles and checkpoint still prove their records')
    .requiredOption('--before <time>', 'segments that end before it', timeOption)
    .requiredOption('--to <directory>', 'where to, made if it is missing')
    .requiredOption('--data <directory>', "the CA's data directory")
    .action(async (options: { before: string; to: string; data: string }, command: Command) => {
      const { archiveAudit } = await import('../../ca/index.ts');
      const client = adminOf(command);
      const moved = await archiveAudit({
        directory: `${options.data}/audit`,
        to: options.to,
        beforeMs: Date.parse(options.before),
        signMark: async (segment) => (await client.signArchiveMark(segment)).note,
      });
      outputOf(command, context).show({ to: options.to, moved }, (value) =>
        formatTable(
          ['SEGMENT', 'RECORDS', 'BYTES', 'LAST RECORD', 'SHA-256'],
          value.moved.map(({ name, records, bytes, lastTime, sha256 }) => [
            name,
            String(records),
            String(bytes),
            lastTime,
            sha256,
          ]),
          'no sealed segment ends before that',
        ),
      );
    });
  withExamples(archive, [
    [
      'signet audit archive --before 2026-08-01 --to /mnt/audit --data /var/lib/signet/ca',
      'the CA must run: it records and signs each move',
    ],
  ]);
}
