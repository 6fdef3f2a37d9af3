/** A directory that only its owner may look into, made with the parents it needs. */

import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode } from './errors.ts';

/**
 * Makes sure that `path` is a directory of mode 0700. Throws the system's error.
 *
 * Parents are made one by one: `mkdir` with `recursive` never returns where a file system such as
 * /proc answers ENOENT for a child it will not have.
 */
export async function makePrivateDirectory(
  path: string,
  parentsMax = parentsMadeMax,
): Promise<void> {
  try {
    await mkdir(path, { mode: privateMode });
    return;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return makePrivate(path);
    const parent = dirname(path);
    if (code !== 'ENOENT' || parentsMax === 0 || (await exists(parent))) throw error;
    await makePrivateDirectory(parent, parentsMax - 1);
  }
  await mkdir(path, { mode: privateMode });
}

/** An older run, or an operator's mkdir, may have left it open to others. */
async function makePrivate(path: string): Promise<void> {
  const found = await stat(path);
  if (!found.isDirectory()) {
    throw Object.assign(new Error(`${path} is not a directory`), { code: 'ENOTDIR' });
  }
  if ((found.mode & 0o077) !== 0) await chmod(path, privateMode);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

const privateMode = 0o700;
// A data directory lies a few levels deep; a longer missing path is a typing error.
const parentsMadeMax = 8;
