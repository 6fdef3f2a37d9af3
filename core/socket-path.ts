/** Unix socket paths have a hard bound that the kernel reports badly, so it is checked early. */

import { Buffer } from 'node:buffer';
import { CodedError } from './errors.ts';

export type SocketPathErrorCode =
  | 'socket_path_empty'
  | 'socket_path_relative'
  | 'socket_path_length';

export class SocketPathError extends CodedError<SocketPathErrorCode> {
  override readonly name = 'SocketPathError';
  override readonly kind = 'invalid_argument';
}

/** The path, if a Unix socket can have it. Throws {@link SocketPathError}. */
export function checkSocketPath(path: string): string {
  if (path === '') throw new SocketPathError('socket_path_empty', 'a socket path is required');
  if (!path.startsWith('/')) {
    throw new SocketPathError(
      'socket_path_relative',
      `socket path ${JSON.stringify(path)} is not absolute`,
      {
        remedy: 'give a path that begins with /',
      },
    );
  }
  const length = Buffer.byteLength(path);
  if (length > socketPathBytesMax) {
    throw new SocketPathError(
      'socket_path_length',
      `socket path ${JSON.stringify(path)} has ${length} bytes, the system allows ${socketPathBytesMax}`,
      { remedy: 'choose a shorter directory' },
    );
  }
  return path;
}

// unix(7): sun_path has 108 bytes including the final zero.
export const socketPathBytesMax = 107;
