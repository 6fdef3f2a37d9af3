/** Reading a backup line by line, with bounded memory, and knowing at its end that it is whole. */

import { createHash, type Hash } from 'node:crypto';
import { concatBytes } from '../../core/index.ts';
import { BackupError } from './backup-error.ts';
import { type BackupLine, decodeLine } from './backup-format.ts';

/**
 * The lines; the last comes once it is checked, its counts and the hash of all bytes before it. A reader
 * must not believe what it was given until then. Throws {@link BackupError}.
 */
export async function* readBackup(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<BackupLine> {
  const whole = createHash('sha256');
  const counts = { items: 0, files: 0 };
  let file: { readonly digest: Hash; bytes: number } | undefined;
  let number = 0;
  let end: Extract<BackupLine, { kind: 'end' }> | undefined;
  for await (const raw of linesOf(bytes)) {
    number += 1;
    if (end !== undefined) throw corrupt(number, 'something follows the end');
    const line = decodeLine(raw, number);
    if ((line.kind === 'begin') !== (number === 1)) throw corrupt(number, 'a line out of place');
    if (line.kind === 'end') {
      end = line;
      continue;
    }
    whole.update(raw).update('\n');
    if ((line.kind === 'part' || line.kind === 'fileEnd') !== (file !== undefined)) {
      throw corrupt(number, 'a line out of place');
    }
    if (line.kind === 'item') counts.items += 1;
    if (line.kind === 'file') {
      counts.files += 1;
      file = { digest: createHash('sha256'), bytes: 0 };
    }
    if (line.kind === 'part' && file !== undefined) {
      file.digest.update(line.data);
      file.bytes += line.data.length;
    }
    if (line.kind === 'fileEnd' && file !== undefined) {
      if (file.bytes !== line.bytes || file.digest.digest('hex') !== line.sha256) {
        throw corrupt(number, 'a file does not have the hash that was noted');
      }
      file = undefined;
    }
    yield line;
  }
  if (end === undefined) {
    throw new BackupError('backup_truncated', `the backup ends after line ${number}, unfinished`, {
      remedy: 'use another backup; this one was cut short',
    });
  }
  const isWhole =
    end.sha256 === whole.digest('hex') &&
    end.items === counts.items &&
    end.files === counts.files &&
    file === undefined;
  if (!isWhole) throw corrupt(number, 'the whole does not have the hash that was noted');
  yield end;
}

async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      yield concatBytes(...waiting, chunk.subarray(start, end));
      waiting = [];
      waitingBytes = 0;
      start = end + 1;
    }
    waiting.push(chunk.slice(start));
    waitingBytes += chunk.length - start;
    if (waitingBytes > lineBytesMax) {
      throw new BackupError('backup_not_one', 'the file is not a backup of a Signet CA', {
        remedy: 'give a file that `signet ca backup` wrote',
      });
    }
  }
  // A last line with no end was cut short, and says nothing.
  if (waitingBytes > 0) yield concatBytes(...waiting);
}

function corrupt(line: number, detail: string): BackupError {
  return new BackupError('backup_corrupt', `line ${line} of the backup: ${detail}`, {
    remedy: 'use another backup; this one was changed or damaged',
  });
}

const newline = 0x0a;
// The largest value of the store is a megabyte, a third more as base64.
const lineBytesMax = 4 * 1024 * 1024;
