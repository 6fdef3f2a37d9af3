/** The password of a keystore, from a file that only its owner reads. */

import { stat } from 'node:fs/promises';
import { readText } from '../../core/index.ts';
import { SinkError } from './sink-error.ts';

/** The first line. Throws {@link SinkError} or FileError; neither holds the password. */
export async function readPasswordFile(path: string): Promise<string> {
  const text = await readText(path);
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    throw new SinkError(
      'sink_password',
      'failed_precondition',
      `${path} may be read by others than its owner`,
      { remedy: `chmod 0600 ${path}` },
    );
  }
  const line = text.split('\n', 1)[0] ?? '';
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
