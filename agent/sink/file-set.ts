/**
 * Several files that change together: each generation is a directory of its own, and the rename of one link
 * makes it the current one, as Kubernetes does with mounted secrets. A crash leaves the old set or the new.
 */

import { lstat, mkdir, open, readdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  describeError,
  type Random,
  replaceFile,
  syncDirectory,
  systemErrorCode,
  toHex,
} from '../../core/index.ts';
import { SinkError } from './sink-error.ts';
import type { SvidFile } from './svid-files.ts';

/** Writes all of `files` into `directory`, or none. Throws {@link SinkError}. */
export async function writeFileSet(
  directory: string,
  files: readonly SvidFile[],
  random: Random,
): Promise<void> {
  try {
    await prepareDirectory(directory);
    for (const { name, mode } of files) await checkReplaceable(join(directory, name), mode);
    const generation = `${generationPrefix}${toHex(random.bytes(8))}`;
    await writeGeneration(join(directory, generation), files);
    await pointTo(join(directory, currentLink), generation);
    for (const { name } of files) await pointTo(join(directory, name), join(currentLink, name));
    await syncDirectory(directory);
    await removeOthers(directory, generation);
  } catch (error) {
    throw unwritable(directory, error);
  }
}

/** Replaces one file, all of it or nothing. Throws {@link SinkError}. */
export async function writeOneFile(path: string, file: SvidFile): Promise<void> {
  try {
    await prepareDirectory(dirname(resolve(path)));
    await checkReplaceable(path, file.mode);
    await replaceFile(path, file.content, file.mode);
  } catch (error) {
    throw unwritable(path, error);
  }
}

async function writeGeneration(path: string, files: readonly SvidFile[]): Promise<void> {
  // The directory is open to those whom the files are open to; the key's own mode keeps it shut.
  await mkdir(path, { mode: 0o755 });
  try {
    for (const { name, content, mode } of files) {
      const file = await open(join(path, name), 'wx', mode);
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    await syncDirectory(path);
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw error;
  }
}

/** A rename is the moment of change: nobody ever sees the link gone. */
async function pointTo(link: string, target: string): Promise<void> {
  const now = await readlink(link).catch((error: unknown) => {
    // Not there yet, or no link: then it becomes one.
    if (!['ENOENT', 'EINVAL'].includes(systemErrorCode(error) ?? '')) throw error;
  });
  if (now === target) return;
  const beside = `${link}.new`;
  await rm(beside, { force: true });
  await symlink(target, beside);
  await rename(beside, link);
}

async function removeOthers(directory: string, generation: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(generationPrefix) || name === generation) continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function prepareDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
    return;
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  const { mode, uid } = await stat(directory);
  checkOwner(directory, uid);
  // A link here leads where its owner says, today and tomorrow.
  checkOwner(directory, (await lstat(directory)).uid);
  // Whoever may write there may put a key of his own in the place of ours. A sticky bit is no help: what is
  // not there yet, such as the links, may be made by anybody first.
  if ((mode & 0o022) === 0) return;
  throw new SinkError(
    'sink_target',
    'failed_precondition',
    `others may write into ${directory} (mode ${octal(mode)})`,
    { remedy: `take that away: chmod go-w ${directory}` },
  );
}

/** An owner may do as he likes in a directory, whatever its mode says today. */
function checkOwner(path: string, uid: number): void {
  if (uid === 0 || uid === process.geteuid?.()) return;
  throw new SinkError('sink_target', 'failed_precondition', `${path} belongs to user ${uid}`, {
    remedy: 'choose a directory of the user that runs this, or of root',
  });
}

/** What stands there is replaced only if it is no wider open than what comes, or is a link of ours. */
async function checkReplaceable(path: string, mode: number): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  checkOwner(path, found.uid);
  if (found.isSymbolicLink() && (await readlink(path)) === join(currentLink, basename(path)))
    return;
  if (!found.isFile()) {
    throw new SinkError('sink_target', 'failed_precondition', `${path} is no plain file`, {
      remedy: 'remove it or choose another place',
    });
  }
  if ((found.mode & 0o777 & ~mode) === 0) return;
  throw new SinkError(
    'sink_target',
    'failed_precondition',
    `${path} exists with mode ${octal(found.mode)}, wider than ${octal(mode)}: it is not a place for this`,
    { remedy: `remove it, or: chmod ${octal(mode)} ${path}` },
  );
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

function unwritable(where: string, error: unknown): SinkError {
  if (error instanceof SinkError) return error;
  return new SinkError(
    'sink_target',
    'failed_precondition',
    `${where} cannot be written: ${describeError(error)}`,
  );
}

const generationPrefix = '..svid-';
const currentLink = '..current';
