/**
 * Where the sealed cache and its key lie by default: in a directory of the agent's own. That of the socket is
 * mounted into containers, whose root is ours as well unless they have a user namespace.
 */

import { lstat, mkdir } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { describeError, systemErrorCode } from '../../core/index.ts';
import { AgentError } from '../agent-error.ts';

export interface PrivatePlace {
  readonly directory: string;
  readonly cache: string;
  readonly key: string;
}

/** `/run/signet-agent/agent.sock.cache` and `.key` for `/run/signet/agent.sock`. */
export function privatePlaceOf(socket: string): PrivatePlace {
  const directory = `${dirname(resolve(socket))}-agent`;
  const name = join(directory, basename(socket));
  return { directory, cache: `${name}.cache`, key: `${name}.key` };
}

/** Whether whoever is given the socket's directory is given `path` as well. */
export function isWithSocket(path: string, socket: string): boolean {
  const way = relative(dirname(resolve(socket)), resolve(path));
  return way !== '..' && !way.startsWith('../');
}

/** Makes it with mode 0700. Throws {@link AgentError} if what is there is not this user's alone. */
export async function makePrivatePlace(path: string, euid: number | undefined): Promise<void> {
  const refuse = (reason: string, cause?: unknown): AgentError => {
    const detail = cause === undefined ? reason : `${reason}: ${describeError(cause)}`;
    return new AgentError('cache_directory', 'failed_precondition', `no cache: ${detail}`, {
      remedy: `make ${path} a directory of the agent's user with mode 0700, or set cache.path, or cache: off`,
    });
  };
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw refuse(`${path} cannot be made`, error);
  }
  const found = await lstat(path);
  if (!found.isDirectory()) throw refuse(`${path} is not a directory`);
  if (found.uid !== euid) throw refuse(`${path} belongs to uid ${found.uid}, not ${euid}`);
  const mode = found.mode & 0o777;
  if ((mode & 0o077) !== 0) throw refuse(`${path} has mode ${mode.toString(8)}, open to others`);
}
