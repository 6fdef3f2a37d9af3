/** The faults of the embedded database, each with the name of what is wrong and what to do. */

import { systemErrorCode } from '../../core/index.ts';
import { StoreError } from './store-error.ts';

/** Why the database in `directory` did not open. */
export function openError(directory: string, error: unknown): StoreError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = systemErrorCode(cause);
  const said = cause instanceof Error ? cause.message : String(cause);
  if (code === 'LEVEL_LOCKED') {
    return new StoreError('store_locked', `the store ${directory} is in use by another process`, {
      cause,
      remedy: 'stop the other signet ca, or give this one a data directory of its own',
    });
  }
  if (code === 'LEVEL_CORRUPTION' || /corrupt/i.test(said)) {
    return new StoreError('store_corrupt', `the store ${directory} is damaged`, {
      cause,
      remedy: 'restore the store from a backup',
    });
  }
  if (code === 'ENOTDIR' || code === 'EEXIST' || /not a directory/i.test(said)) {
    return new StoreError('store_not_a_directory', `the store ${directory} is not a directory`, {
      cause,
      remedy: 'give the path of a directory',
    });
  }
  if (forbiddenCodes.has(code ?? '') || /permission denied|read-only/i.test(said)) {
    return new StoreError('store_forbidden', `the store ${directory} may not be written`, {
      cause,
      remedy: 'check its owner and mode, and that its file system is writable',
    });
  }
  return new StoreError('store_unavailable', `the store ${directory} cannot be opened`, {
    cause,
    remedy: 'check that its parent directory exists and that the disk has free space',
  });
}

/** The result of a read of the database, whose faults become {@link StoreError}. */
export async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new StoreError('store_unavailable', 'the store cannot be read', {
      cause: error,
      remedy: 'check the disk',
    });
  }
}

export function writeError(cause: unknown): StoreError {
  return new StoreError('store_unavailable', 'the store cannot be written', {
    cause,
    remedy: 'check the disk and its free space; it is written again once there is room',
  });
}

const forbiddenCodes: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);
