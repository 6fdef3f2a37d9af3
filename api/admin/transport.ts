/** How a call of the admin API reaches the CA: over its Unix socket, or over mutual TLS with an SVID. */

import { Buffer } from 'node:buffer';
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { type RequestOptions, request as httpsRequest } from 'node:https';
import type { SecureContext } from 'node:tls';
import { checkSocketPath, systemErrorCode } from '../../core/index.ts';
import { tlsServerName } from '../../rpc/index.ts';
import { AdminError, isErrorKind, problemSchema } from './problem.ts';

/** Where the admin API is. */
export type AdminTarget =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tls';
      readonly host: string;
      readonly port: number;
      /** Who we are and whom we trust, asked for once. */
      readonly identity: () => Promise<AdminIdentity>;
    };

export interface AdminIdentity {
  /** Our chain and key, and the roots that the CA's chain must lead to. */
  readonly context: SecureContext;
  /** Sees the CA's leaf (DER) and answers why it is not the CA, or undefined. */
  readonly checkServer: (leaf: Uint8Array) => string | undefined;
}

/** One call; resolves with the answer's text. Throws {@link AdminError}. */
export type Transport = (
  method: string,
  path: string,
  body?: unknown,
  /** Asks for JSON lines, and is told of each as it comes. */
  onLine?: (line: string) => void,
) => Promise<string>;

/** Throws SocketPathError. */
export function transportTo(target: AdminTarget): Transport {
  if (target.kind === 'unix') {
    const { path: socketPath } = target;
    checkSocketPath(socketPath);
    return (method, path, body, onLine) =>
      exchange(socketPath, { body, onLine }, (headers) =>
        httpRequest({
          socketPath,
          method,
          path,
          timeout: timeoutMs,
          headers: { host: 'localhost', ...headers },
        }),
      );
  }
  const { host, port } = target;
  let identity: Promise<AdminIdentity> | undefined;
  return async (method, path, body, onLine) => {
    identity ??= target.identity();
    const { context, checkServer } = await identity;
    return exchange(`${host}:${port}`, { body, onLine }, (headers) => {
      const options: RequestOptions = {
        host,
        port,
        method,
        path,
        timeout: timeoutMs,
        // The name is only there because an IP address may not be sent as SNI; nobody trusts by it.
        servername: tlsServerName,
        headers: { host: tlsServerName, ...headers },
        checkServerIdentity(_host, certificate) {
          const reason = checkServer(new Uint8Array(certificate.raw));
          return reason === undefined ? undefined : new Error(reason);
        },
        // A connection for each call: nothing is resumed, and the command ends when it has its answer.
        agent: false,
      };
      return httpsRequest(Object.assign(options, { secureContext: context }));
    });
  };
}

type Start = (headers: Readonly<Record<string, string | number>>) => ClientRequest;

interface Ask {
  readonly body: unknown;
  readonly onLine: ((line: string) => void) | undefined;
}

function exchange(where: string, { body, onLine }: Ask, start: Start): Promise<string> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const request = start({
      ...(onLine === undefined ? {} : { accept: jsonLines }),
      ...(payload === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': payload.length }),
    });
    request.on('response', (response) => {
      readAnswer(request, response, onLine).then(resolve, (error: unknown) => {
        reject(error instanceof Error ? failureOf(where, error) : error);
      });
    });
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)),
    );
    request.on('error', (error) => reject(failureOf(where, error)));
    request.end(payload);
  });
}

async function readAnswer(
  request: ClientRequest,
  response: IncomingMessage,
  onLine: Ask['onLine'],
): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Bytes as characters, so that a character cut in two is whole again in its line.
  let rest = '';
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > bodyBytesMax) {
      const error = new Error(`an answer over ${bodyBytesMax} bytes`);
      request.destroy(error);
      throw error;
    }
    chunks.push(chunk);
    if (onLine === undefined) continue;
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(Buffer.from(line, 'latin1').toString('utf8'));
  }
  const text = Buffer.concat(chunks).toString('utf8');
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return text;
  throw problemOf(status, text);
}

function problemOf(status: number, text: string): AdminError {
  const parsed = problemSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    return new AdminError('internal', 'admin_answer', `the CA answered ${status} with no reason`);
  }
  const { kind, code, title, remedy } = parsed.data;
  return new AdminError(isErrorKind(kind) ? kind : 'internal', code, title, remedy);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function failureOf(where: string, error: Error): AdminError {
  if (error instanceof AdminError) return error;
  const code = systemErrorCode(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new AdminError(
      'failed_precondition',
      'admin_unreachable',
      `no CA answers on ${where}`,
      where.startsWith('/')
        ? 'start it with `signet ca run`, or give its admin socket with --socket'
        : 'check --admin-address, and that the CA has admin.listen in its config',
    );
  }
  if (code === 'EACCES') {
    return new AdminError(
      'permission_denied',
      'admin_forbidden',
      `this user may not use ${where}`,
      'run the command as the user that runs the CA',
    );
  }
  // The CA ends a connection whose certificate it does not accept without a word.
  const refused = code === 'ECONNRESET' && !where.startsWith('/');
  return new AdminError(
    'unavailable',
    'admin_unreachable',
    `the CA on ${where} gave no answer`,
    refused ? 'check that this SVID is of its trust domain and has not ended' : undefined,
    error,
  );
}

export const jsonLines = 'application/x-ndjson';
const timeoutMs = 30_000;
const bodyBytesMax = 256 * 1024 * 1024;
