/** Files read and replaced whole, with errors that name the path and the remedy. */

import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CodedError, systemErrorCode } from './errors.ts';

export type FileErrorCode =
  | 'file_missing'
  | 'file_forbidden'
  | 'file_unreadable'
  | 'file_unwritable';

export class FileError extends CodedError<FileErrorCode> {
  override readonly name = 'FileError';
  override readonly kind = 'failed_precondition';
}

/** The whole file. Throws {@link FileError} that names the path. */
export async function readWhole(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    throw readError(path, error);
  }
}

export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readWhole(path));
}

/**
 * Replaces a file so that a crash leaves the old or the new content, never a part: written beside it,
 * synced, renamed, and the directory synced.
 */
export async function replaceFile(
  path: string,
  content: Uint8Array | string,
  mode = 0o600,
): Promise<void> {
  const beside = `${path}.new`;
  try {
    await rm(beside, { force: true });
    const file = await open(beside, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw new FileError('file_unwritable', `${path} cannot be written`, {
      cause: error,
      remedy: 'check that the directory exists, is writable and has free space',
    });
  }
}

/** Makes a rename or a creation in `directory` survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function readError(path: string, error: unknown): FileError {
  const code = systemErrorCode(error);
  if (code === 'ENOENT') {
    return new FileError('file_missing', `${path} does not exist`, { remedy: 'check the path' });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new FileError('file_forbidden', `${path} may not be read by this user`, {
      remedy: 'check its owner and mode',
    });
  }
  return new FileError('file_unreadable', `${path} cannot be read`, { cause: error });
}
