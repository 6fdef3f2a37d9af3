/**
 * The HTTP of the agent's admin socket: a few routes, each an operation that validates. It is Node's own
 * server, because an agent stands on every machine and a framework is several megabytes of each.
 */

import { isUtf8 } from 'node:buffer';
import { chmod } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AdminError, httpStatusOf, type Operation, type Problem } from '../../api/index.ts';
import {
  type Closable,
  CodedError,
  type Logger,
  type Random,
  systemErrorCode,
  toHex,
} from '../../core/index.ts';
import { listening, removeStaleSocket } from '../../rpc/index.ts';
import { type AdminPeer, admitPeer } from './admin-peer.ts';

export interface AdminCall {
  readonly peer: AdminPeer;
  readonly query: unknown;
  readonly body: unknown;
  readonly response: ServerResponse;
  /** Aborted when the caller has gone. */
  readonly gone: AbortSignal;
}

export interface AdminRoute {
  readonly operation: Operation;
  /** Answers with a value as JSON, with text, or by itself (undefined). */
  readonly answer: (call: AdminCall) => Promise<AdminAnswer | undefined>;
}

export interface AdminAnswer {
  readonly status?: number;
  readonly type?: string;
  readonly body: unknown;
}

export interface HttpServerDeps {
  readonly routes: readonly AdminRoute[];
  readonly random: Random;
  readonly log: Logger;
  /** Told of each call when it ends: the route's id, or none, and `ok` or the code of the problem. */
  readonly onEnd: (operation: string, outcome: string) => void;
}

/** Serves on a Unix socket that only its own user may open. Throws ListenError or SocketPathError. */
export async function serveOnSocket(path: string, deps: HttpServerDeps): Promise<Closable> {
  const peers = new WeakMap<Socket, AdminPeer | AdminError>();
  const http = createServer(serverBounds, (request, response) => {
    answerCall(request, response, peers.get(request.socket), deps).catch((error: unknown) => {
      // A fault of the answer itself costs this caller its connection, and nobody else the agent.
      deps.log.error('an admin call could not be answered', { error });
      response.destroy();
    });
  });
  http.maxConnections = connectionsMax;
  http.on('connection', (socket: Socket) => peers.set(socket, peerOf(socket, deps.log)));
  http.on('clientError', (error, socket) => {
    deps.log.debug('an admin request could not be read', { reason: error.message });
    const line = unreadable.get(systemErrorCode(error) ?? '') ?? '400 Bad Request';
    if (!socket.writable) socket.destroy();
    else socket.end(`HTTP/1.1 ${line}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
  });
  await removeStaleSocket(path);
  await listening(http, { path }, path);
  await chmod(path, socketMode);
  return {
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}

function peerOf(socket: Socket, log: Logger): AdminPeer | AdminError {
  try {
    return admitPeer(socket);
  } catch (error) {
    if (!(error instanceof AdminError)) throw error;
    log.warn('an admin peer was refused', { reason: error.message });
    return error;
  }
}

async function answerCall(
  request: IncomingMessage,
  response: ServerResponse,
  peer: AdminPeer | AdminError | undefined,
  deps: HttpServerDeps,
): Promise<void> {
  const id = requestIdOf(request, deps.random);
  response.setHeader('x-request-id', id);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  let known = 'none';
  try {
    if (peer === undefined || peer instanceof AdminError) throw peer ?? unknownPeer();
    // What llhttp lets through as a target is not always a URL: `//` is none.
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    if (url === null) throw invalid('the target of the request is not a URL');
    const route = deps.routes.find(({ operation }) => operation.path === url.pathname);
    known = route?.operation.id ?? known;
    const { operation, answer } = routeFor(request, url.pathname, route);
    const query = parseWith(operation, 'query', onceEach(url.searchParams));
    const body = parseWith(operation, 'body', await bodyOf(request));
    const answered = await answer({ peer, query, body, response, gone: gone.signal });
    if (answered !== undefined) sendAnswer(response, answered);
    deps.onEnd(known, 'ok');
  } catch (error) {
    const problem = problemOf(error, id, deps.log);
    deps.onEnd(known, problem.code);
    // Nobody waits for an answer any more, or half of one has left already.
    if (response.headersSent || gone.signal.aborted) response.destroy();
    else sendProblem(response, { ...problem, requestId: id });
  }
}

function routeFor(
  request: IncomingMessage,
  path: string,
  route: AdminRoute | undefined,
): AdminRoute {
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  if (route !== undefined && route.operation.method === method) return route;
  const what = `${request.method ?? ''} ${path.slice(0, pathLengthMax)}`;
  throw new AdminError('not_found', 'route_unknown', `there is no ${what}`);
}

/** Each parameter once: which of two is meant is not for us to guess. */
function onceEach(parameters: URLSearchParams): Record<string, string> {
  const values = new Map<string, string>();
  for (const [key, value] of parameters) {
    if (values.has(key)) throw invalid(`the parameter ${key.slice(0, 64)} is given twice`);
    values.set(key, value);
  }
  return Object.fromEntries(values);
}

function parseWith(operation: Operation, part: 'query' | 'body', value: unknown): unknown {
  const result = operation[part].safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const at = issue?.path.join('.') ?? '';
  throw invalid(`the ${part}${at === '' ? '' : ` at ${at}`}: ${issue?.message ?? 'is not valid'}`);
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > bodyBytesMax) {
      throw new AdminError(
        'invalid_argument',
        'request_large',
        `the body is over ${bodyBytesMax} bytes`,
      );
    }
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  const bytes = Buffer.concat(chunks);
  // RFC 8259 §8.1: JSON between systems is UTF-8.
  if (!isUtf8(bytes)) throw invalid('the body is not UTF-8');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    // The engine's message quotes the text.
    if (error instanceof SyntaxError) throw invalid('the body is not JSON');
    throw error;
  }
}

function problemOf(error: unknown, id: string, log: Logger): Problem {
  if (error instanceof CodedError) {
    const { code, kind, message: title, remedy } = error;
    const problem = { code, kind, title, status: httpStatusOf[kind] };
    return remedy === undefined ? problem : { ...problem, remedy };
  }
  log.error('an admin call failed', { id, error });
  return { code: 'internal', kind: 'internal', title: 'internal error', status: 500 };
}

function sendAnswer(response: ServerResponse, { status = 200, type, body }: AdminAnswer): void {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': type ?? 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

function sendProblem(response: ServerResponse, problem: Problem): void {
  const text = `${JSON.stringify(problem)}\n`;
  response.writeHead(problem.status, {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  });
  response.end(text);
}

function requestIdOf(request: IncomingMessage, random: Random): string {
  const given = request.headers['x-request-id'];
  if (typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given)) return given;
  return toHex(random.bytes(requestIdBytes));
}

function invalid(reason: string): AdminError {
  return new AdminError('invalid_argument', 'request_invalid', reason);
}

function unknownPeer(): AdminError {
  return new AdminError('permission_denied', 'admin_peer', 'nobody knows who calls');
}

const unreadable: ReadonlyMap<string, string> = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
]);
// Whoever opens this socket sees every workload of the machine.
const socketMode = 0o600;
// The one body there is holds a name of at most 2,048 characters.
const bodyBytesMax = 16 * 1024;
const serverBounds = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  maxHeaderSize: 16 * 1024,
};
// An operator, a scraper and some probes.
const connectionsMax = 64;
const pathLengthMax = 256;
// Enough that two calls of a log never share one.
const requestIdBytes = 12;
