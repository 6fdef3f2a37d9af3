/** `signet ca backup`, `restore` and `reseal`: what keeps a CA through the loss of a disk or of a key. */

import { access, open, rename, rm } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { openBackup } from '../../api/index.ts';
import { CodedError, syncDirectory, systemErrorCode } from '../../core/index.ts';
import { answering, outputOf, withExamples } from '../options.ts';
import { formatFields } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

/** A backup that cannot be written or read where the user says. */
class BackupFileError extends CodedError<'backup_exists' | 'backup_unwritable' | 'backup_missing'> {
  override readonly name = 'BackupFileError';
  override readonly kind = 'failed_precondition';
}

export function maintenanceCommands(context: ProgramContext): readonly Command[] {
  return [backupCommand(context), restoreCommand(context), resealCommand(context)];
}

function backupCommand(context: ProgramContext): Command {
  const backup = answering(new Command('backup'))
    .description('write everything a lost CA is restored from into one file; keys stay sealed')
    .addOption(dataOption())
    .addOption(
      new Option(
        '--socket <path>',
        "the CA's admin socket, if it is not in the data directory",
      ).env('SIGNET_ADMIN_SOCKET'),
    )
    .requiredOption('--to <file>', 'the file to write; it must not exist yet')
    .action(async (options: { data: string; socket?: string; to: string }, command: Command) => {
      const { offlineBackup } = await import('../../ca/index.ts');
      const socket = options.socket ?? join(options.data, 'admin.sock');
      const running = await openBackup(socket);
      const bytes = running ?? offlineBackup(options.data, context.clock);
      const size = await writeNew(options.to, bytes);
      const value = { file: options.to, bytes: size, from: running ? 'running CA' : 'files' };
      outputOf(command, context).show(value, (shown) =>
        formatFields([
          ['Backup', shown.file],
          ['Bytes', String(shown.bytes)],
          ['Made from', shown.from],
        ]),
      );
    });
  return withExamples(backup, [
    [
      'signet ca backup --data /var/lib/signet/ca --to /backup/ca-2026-11-22',
      'while the CA runs, or stands still; keep the key-encryption key elsewhere',
    ],
  ]);
}

function restoreCommand(context: ProgramContext): Command {
  const restore = answering(new Command('restore'))
    .description('make a data directory of a backup; the CA started on it repeats nothing')
    .requiredOption('--from <file>', 'a file that `signet ca backup` wrote')
    .addOption(dataOption())
    .action(async (options: { from: string; data: string }, command: Command) => {
      const { restoreBackup } = await import('../../ca/index.ts');
      const value = await restoreBackup(read(options.from), absolute(options.data));
      outputOf(command, context).show({ data: options.data, ...value }, (shown) =>
        formatFields([
          ['Restored', shown.data],
          ['Backup made', shown.createdAt],
          ['Records', String(shown.items)],
          ['Unused join tokens dropped', String(shown.tokensDropped)],
          ['Audit log', `${shown.auditRecords} records, root ${shown.rootHash}`],
        ]),
      );
    });
  return withExamples(restore, [
    [
      'signet ca restore --from /backup/ca-2026-11-22 --data /var/lib/signet/ca',
      'then start the CA with the same config and key-encryption key',
    ],
  ]);
}

function resealCommand(context: ProgramContext): Command {
  const reseal = answering(new Command('reseal'))
    .description('put every key of a CA that stands still under another key-encryption key')
    .addOption(dataOption())
    .requiredOption('--old-kek <file>', 'the key-encryption key it is sealed with now')
    .requiredOption('--new-kek <file>', 'the one to seal with; make it with `openssl rand -hex 32`')
    .action(async (options: { data: string; oldKek: string; newKek: string }, command: Command) => {
      const { resealData } = await import('../../ca/index.ts');
      const sealed = await resealData({
        data: options.data,
        old: { file: options.oldKek },
        next: { file: options.newKek },
        environment: context.environment,
        random: context.random,
      });
      outputOf(command, context).show({ data: options.data, sealed }, (shown) =>
        formatFields([
          ['Resealed', shown.data],
          ['Sealed values', String(shown.sealed)],
        ]),
      );
    });
  return withExamples(reseal, [
    [
      'signet ca reseal --data /var/lib/signet/ca --old-kek kek --new-kek kek.new',
      'stop the CA first, and give it the new key when it starts',
    ],
  ]);
}

function dataOption(): Option {
  return new Option('--data <directory>', "the CA's data directory")
    .env('SIGNET_DATA')
    .default('/var/lib/signet/ca');
}

function absolute(path: string): string {
  return isAbsolute(path) ? path : resolve(path);
}

/** The whole or nothing: a backup that breaks off leaves no file that could be taken for one. */
async function writeNew(path: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  if (await exists(path)) {
    throw new BackupFileError('backup_exists', `${path} exists already`, {
      remedy: 'give another name',
    });
  }
  const beside = `${path}.new`;
  let size = 0;
  try {
    const file = await open(beside, 'w', 0o600);
    try {
      await file.chmod(0o600);
      for await (const chunk of bytes) {
        await file.writeFile(chunk);
        size += chunk.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    await syncDirectory(dirname(path));
    return size;
  } catch (error) {
    await rm(beside, { force: true });
    if (error instanceof CodedError) throw error;
    throw new BackupFileError('backup_unwritable', `${path} cannot be written`, {
      cause: error,
      remedy: 'check that its directory exists, is writable and has free space',
    });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function* read(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new BackupFileError('backup_missing', `${path} cannot be read`, { cause: error });
  });
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(chunkBytes), 0, chunkBytes);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

const chunkBytes = 256 * 1024;
