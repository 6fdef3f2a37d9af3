/** The files of a log beside its segments. */

import { join } from 'node:path';
import { FileError, readText } from '../../core/index.ts';

/** The newest signed checkpoint. */
export const checkpointPath = (directory: string): string => join(directory, 'checkpoint');

/** The key that checks it, for whoever wants to keep a copy elsewhere. */
export const verifierPath = (directory: string): string => join(directory, 'verifier.pub');

/** The text of a small file, or undefined if there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readText(path);
  } catch (error) {
    if (error instanceof FileError && error.code === 'file_missing') return undefined;
    throw error;
  }
}
