/** Options that the audit verbs share, and what several of them do with them. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import type { AuditRecordView } from '../../api/index.ts';
import { canonicalJson, CodedError, readText } from '../../core/index.ts';
import { visibleText } from '../output.ts';

/** A log, or a proof, that is not what was signed: the command ends with 1. */
export class AuditBroken extends CodedError {
  override readonly name = 'AuditBroken';
  override readonly kind = 'data_loss';
}

/** Where a log's files are; nothing else of the CA is needed. */
export interface LogPlace {
  readonly data: string;
  readonly archive?: string;
  readonly verifier?: string;
}

/** A verb that works from the files alone. */
export function offline(command: Command): Command {
  return readingArchive(
    command.addOption(
      new Option('--data <directory>', "the CA's data directory")
        .env('SIGNET_DATA')
        .default('/var/lib/signet/ca'),
    ),
  ).option(
    '--verifier <key>',
    'the verifier key you noted earlier, or @file with it, instead of the one beside the log',
  );
}

export function readingArchive(command: Command): Command {
  return command.option('--archive <directory>', 'where sealed segments were moved');
}

/** The place as `ca/` takes it. */
export async function logPlace(options: LogPlace): Promise<{
  readonly directory: string;
  readonly archive?: string;
  readonly verifierKey?: string;
}> {
  const { data, archive, verifier } = options;
  return {
    directory: `${data}/audit`,
    ...(archive === undefined ? {} : { archive }),
    ...(verifier === undefined ? {} : { verifierKey: await keyText(verifier) }),
  };
}

/** The key itself, or the file it is in. */
export async function keyText(verifier: string): Promise<string> {
  if (!verifier.startsWith('@')) return verifier;
  return (await readText(verifier.slice(1))).trim();
}

/** One record as a line for people. */
export function lineOf(record: AuditRecordView): string {
  const { index, time, type, ...rest } = record;
  const details = Object.entries(rest)
    .filter(([name]) => name !== 'previous' && name !== 'version')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${String(index).padStart(6)}  ${time}  ${type.padEnd(22)}  ${visibleText(details.join(' '))}\n`;
}

/** The line of a record as the log has it, byte for byte: what its leaf hash is over. */
export function canonicalLine(record: AuditRecordView): string {
  return canonicalJson(z.json().parse(record));
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('give a whole number above 0');
  return value;
}

/** A time as RFC 3339, or a date alone, which is its first moment in UTC. */
export function timeOption(text: string): string {
  const isDate = /^\d{4}-\d\d-\d\d$/.test(text);
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const ms = isDate || isTime ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError('give a time such as 2026-11-22T20:00:00Z, or a date');
  }
  return new Date(ms).toISOString();
}
