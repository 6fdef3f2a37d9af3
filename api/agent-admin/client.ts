/** The client of an agent's admin API, over its Unix socket. */

import { Buffer } from 'node:buffer';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import type { z } from 'zod';
import { checkSocketPath, systemErrorCode } from '../../core/index.ts';
import { AdminError, isErrorKind, problemSchema } from '../admin/problem.ts';
import { type ExplanationView, explanationSchema } from './explanation.ts';
import {
  resentSchema,
  type SdsClientsView,
  sdsClientsSchema,
  type SdsEventView,
  sdsEventSchema,
} from './sds.ts';
import { type AgentStatusView, agentStatusSchema } from './status.ts';

/** Every method throws {@link AdminError}: the agent's refusal, or `admin_unreachable`. */
export interface AgentAdminClient {
  status(): Promise<AgentStatusView>;
  sdsClients(): Promise<SdsClientsView>;
  /** Tells of each change until `signal` is aborted; resolves then. */
  watchSds(onEvent: (event: SdsEventView) => void, signal: AbortSignal): Promise<void>;
  /** How many streams were sent something. */
  resend(name?: string): Promise<number>;
  explain(pid: number): Promise<ExplanationView>;
  metrics(): Promise<string>;
}

/** Throws SocketPathError. */
export function agentAdminClient(socketPath: string): AgentAdminClient {
  checkSocketPath(socketPath);
  const send = (method: string, path: string, body?: unknown): Promise<string> =>
    exchange(socketPath, method, path, body);
  return {
    status: async () => read(agentStatusSchema, await send('GET', '/v1/status')),
    sdsClients: async () => read(sdsClientsSchema, await send('GET', '/v1/sds/clients')),
    watchSds: (onEvent, signal) =>
      watchLines(
        socketPath,
        '/v1/sds/watch',
        (line) => onEvent(read(sdsEventSchema, line)),
        signal,
      ),
    async resend(name) {
      const body = name === undefined ? {} : { name };
      return read(resentSchema, await send('POST', '/v1/sds/resend', body)).streams;
    },
    explain: async (pid) => read(explanationSchema, await send('GET', `/v1/explain?pid=${pid}`)),
    metrics: () => send('GET', '/metrics'),
  };
}

async function exchange(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
): Promise<string> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(answerMsMax);
  try {
    const options = { socketPath, method, path, headers, payload, signal };
    const response = await started(options);
    const text = await textOf(response);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return text;
    throw problemOf(status, text);
  } catch (error) {
    throw failureOf(socketPath, error);
  }
}

async function watchLines(
  socketPath: string,
  path: string,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  try {
    const options = { socketPath, method: 'GET', path, headers: {}, payload: undefined, signal };
    const response = await started(options);
    const status = response.statusCode ?? 0;
    if (status !== 200) throw problemOf(status, await textOf(response));
    let rest = '';
    response.setEncoding('utf8');
    for await (const chunk of response) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > lineLengthMax) throw new Error(`a line over ${lineLengthMax} characters`);
      for (const line of lines) onLine(line);
    }
  } catch (error) {
    if (signal.aborted) return;
    throw failureOf(socketPath, error);
  }
  throw new AdminError('unavailable', 'admin_unreachable', `the agent on ${socketPath} has ended`);
}

function started(p: {
  readonly socketPath: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer | undefined;
  readonly signal: AbortSignal;
}): Promise<IncomingMessage> {
  const { socketPath, method, path, headers, signal } = p;
  return new Promise((resolve, reject) => {
    // A connection for each call, so that the command ends when it has its answer.
    const options = { socketPath, method, path, signal, agent: false };
    const request = httpRequest(
      { ...options, headers: { host: 'localhost', connection: 'close', ...headers } },
      resolve,
    );
    request.on('error', reject);
    request.end(p.payload);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > bodyBytesMax) throw new Error(`an answer over ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function read<Schema extends z.ZodType>(schema: Schema, text: string): z.output<Schema> {
  const result = schema.safeParse(parseJson(text));
  if (result.success) return result.data;
  throw new AdminError(
    'internal',
    'admin_answer',
    `the agent's answer is not understood: ${result.error.message}`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function problemOf(status: number, text: string): AdminError {
  const parsed = problemSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const title = `the agent answered ${status} with no reason`;
    return new AdminError('internal', 'admin_answer', title);
  }
  const { kind, code, title, remedy } = parsed.data;
  return new AdminError(isErrorKind(kind) ? kind : 'internal', code, title, remedy);
}

function failureOf(socketPath: string, error: unknown): unknown {
  if (error instanceof AdminError) return error;
  const code = systemErrorCode(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new AdminError(
      'failed_precondition',
      'admin_unreachable',
      `no agent answers on ${socketPath}`,
      'start it with `signet agent run`, or give its admin socket with --socket',
    );
  }
  if (code === 'EACCES') {
    return new AdminError(
      'permission_denied',
      'admin_forbidden',
      `this user may not use ${socketPath}`,
      'run the command as root or as the user that runs the agent',
    );
  }
  const reason = `the agent on ${socketPath} gave no answer`;
  return new AdminError('unavailable', 'admin_unreachable', reason, undefined, error);
}

// An attestation may wait 30 s for a pod that is not there yet.
const answerMsMax = 45_000;
const bodyBytesMax = 64 * 1024 * 1024;
// One client with a thousand names of two kilobytes.
const lineLengthMax = 4 * 1024 * 1024;
