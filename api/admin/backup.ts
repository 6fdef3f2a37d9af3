/** A backup from a running CA, as a stream: it may be larger than memory. */

import { Buffer } from 'node:buffer';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { checkSocketPath, systemErrorCode } from '../../core/index.ts';
import { AdminError, isErrorKind, problemSchema } from './problem.ts';

/**
 * The bytes of a backup of the CA on `socketPath`; undefined if none runs there. A backup that breaks off
 * throws, and what came before is not one. Throws {@link AdminError}, SocketPathError.
 */
export async function openBackup(
  socketPath: string,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  checkSocketPath(socketPath);
  const response = await post(socketPath).catch((error: unknown) => {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    throw broken(socketPath, error);
  });
  if (response === undefined) return undefined;
  if (response.statusCode !== 200) throw await refusalOf(response);
  return bytesOf(socketPath, response);
}

function post(socketPath: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { host: 'localhost', 'content-length': 0 };
    const options = {
      socketPath,
      method: 'POST',
      path: '/v1/backup',
      timeout: quietMsMax,
      headers,
    };
    const request = httpRequest(options);
    request.on('response', resolve);
    request.on('timeout', () => request.destroy(new Error(`silent for ${quietMsMax / 1000} s`)));
    request.on('error', reject);
    request.end();
  });
}

async function* bytesOf(socketPath: string, response: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) if (Buffer.isBuffer(chunk)) yield new Uint8Array(chunk);
  } catch (error) {
    throw broken(socketPath, error);
  }
}

async function refusalOf(response: IncomingMessage): Promise<AdminError> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  const parsed = problemSchema.safeParse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  if (!parsed.success) {
    const text = `the CA answered ${response.statusCode} with no reason`;
    return new AdminError('internal', 'admin_answer', text);
  }
  const { kind, code, title, remedy } = parsed.data;
  return new AdminError(isErrorKind(kind) ? kind : 'internal', code, title, remedy);
}

function broken(socketPath: string, error: unknown): AdminError {
  return new AdminError(
    'unavailable',
    'backup_broken_off',
    `the CA on ${socketPath} broke the backup off`,
    'try again; its log may tell why',
    error,
  );
}

// Between two pieces of a stream that is read from a disk.
const quietMsMax = 30_000;
