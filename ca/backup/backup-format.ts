/**
 * A backup as bytes: one JSON object a line, so that it can be streamed, read with any tool and checked.
 *
 * In order: what it is; every item of the store, read at one revision; the files of the audit log, each
 * a name, parts and its hash; and a last line with the SHA-256 of every byte before it. Private keys are
 * in it as they are in the store: sealed under the key-encryption key, which is not.
 */

import { z } from 'zod';
import { fromBase64, toBase64, utf8Bytes, utf8Text } from '../../core/index.ts';
import { BackupError } from './backup-error.ts';

export type BackupLine =
  | {
      readonly kind: 'begin';
      readonly format: 'signet-backup';
      readonly version: 1;
      readonly createdAt: string;
      /** The store's revision at which everything was read. */
      readonly revision: number;
    }
  | {
      readonly kind: 'item';
      readonly key: string;
      readonly value: Uint8Array;
      readonly createRevision: number;
      readonly modRevision: number;
    }
  /** Everything up to the next line that is no `part` is this file. */
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'part'; readonly data: Uint8Array }
  | { readonly kind: 'fileEnd'; readonly bytes: number; readonly sha256: string }
  | {
      readonly kind: 'end';
      readonly items: number;
      readonly files: number;
      readonly sha256: string;
    };

export function encodeLine(line: BackupLine): Uint8Array {
  return utf8Bytes(`${JSON.stringify(withText(line))}\n`);
}

function withText(line: BackupLine): object {
  if (line.kind === 'item') return { ...line, value: toBase64(line.value) };
  return line.kind === 'part' ? { ...line, data: toBase64(line.data) } : line;
}

/** One line without its newline. Throws {@link BackupError}. */
export function decodeLine(bytes: Uint8Array, lineNumber: number): BackupLine {
  const parsed = schema.safeParse(parseJson(utf8Text(bytes) ?? ''));
  if (parsed.success) return parsed.data;
  if (lineNumber === 1) {
    throw new BackupError('backup_not_one', 'the file is not a backup of a Signet CA', {
      remedy: 'give a file that `signet ca backup` wrote',
    });
  }
  throw new BackupError('backup_corrupt', `line ${lineNumber} of the backup is damaged`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const bytesField = z.string().transform((text, context) => {
  const bytes = fromBase64(text);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: 'custom', message: 'not base64' });
  return z.NEVER;
});
const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const schema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('begin'),
    format: z.literal('signet-backup'),
    version: z.literal(1, { error: 'another version' }),
    createdAt: z.string().max(40),
    revision: count,
  }),
  z.strictObject({
    kind: z.literal('item'),
    key: z.string().regex(/^[!-~]{1,512}$/),
    value: bytesField,
    createRevision: count,
    modRevision: count,
  }),
  // Relative, of plain names only: a backup must not be able to write outside the log's directory.
  z.strictObject({
    kind: z.literal('file'),
    path: z
      .string()
      .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(\/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,9}$/),
  }),
  z.strictObject({ kind: z.literal('part'), data: bytesField }),
  z.strictObject({ kind: z.literal('fileEnd'), bytes: count, sha256 }),
  z.strictObject({ kind: z.literal('end'), items: count, files: count, sha256 }),
]);
