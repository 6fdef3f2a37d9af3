/** What attestors ask over HTTP: bounded answers, within a deadline, from a Unix socket or over TLS. */

import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { describeError, readText } from '../../core/index.ts';
import { AgentError } from '../agent-error.ts';

/** Where to ask. Files are read for each connection, because they are replaced while the agent runs. */
export type HttpTarget =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'url';
      readonly url: URL;
      readonly tokenFile?: string | undefined;
      readonly caFile?: string | undefined;
      /** The name that the certificate must have, where it is not the host of the URL. */
      readonly serverName?: string | undefined;
      /** Takes any certificate. */
      readonly insecure?: boolean | undefined;
    };

export interface HttpAnswer {
  readonly status: number;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Resolves with the head. Throws {@link AgentError}, also once `signal` is aborted. */
export async function httpGet(
  target: HttpTarget,
  path: string,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  try {
    const message = await open(target, path, signal);
    return { status: message.statusCode ?? 0, body: message };
  } catch (error) {
    throw unavailable(target, describeError(error), error);
  }
}

/** The value of a JSON answer; undefined for 404. Throws {@link AgentError} for any other status than 200. */
export async function getJson(
  target: HttpTarget,
  path: string,
  signal: AbortSignal,
): Promise<unknown> {
  const { status, body } = await httpGet(target, path, signal);
  const text = await readBody(target, body);
  if (status === 404) return undefined;
  if (status !== 200) {
    throw unavailable(target, `status ${status} for ${path}: ${text.slice(0, 200)}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unavailable(target, `the answer to ${path} is not JSON`, error);
  }
}

/** The lines of a body that does not end. Throws {@link AgentError} if one is too long or the body breaks. */
export async function* linesOf(
  target: HttpTarget,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of body) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > lineCharactersMax) throw new Error('a line is too long');
      yield* lines.filter((line) => line !== '');
    }
  } catch (error) {
    throw unavailable(target, describeError(error), error);
  }
}

export function unavailable(target: HttpTarget, reason: string, cause?: unknown): AgentError {
  const name = target.kind === 'unix' ? target.path : target.url.origin;
  return new AgentError('attestor_unavailable', 'unavailable', `${name}: ${reason}`, { cause });
}

async function open(
  target: HttpTarget,
  path: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const options: RequestOptions = { path, signal };
  const accept = 'application/json';
  if (target.kind === 'unix') {
    const headers = { accept, host: 'localhost' };
    return sent(httpRequest({ ...options, headers, socketPath: target.path }));
  }
  const { url, serverName } = target;
  const where = {
    ...options,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port,
    headers: { accept, ...(await authorization(target.tokenFile)) },
  };
  if (url.protocol === 'http:') return sent(httpRequest(where));
  const ca = target.caFile === undefined ? undefined : await readText(target.caFile);
  return sent(
    httpsRequest({
      ...where,
      ...(ca === undefined ? {} : { ca }),
      ...(serverName === undefined ? {} : { servername: serverName }),
      rejectUnauthorized: target.insecure !== true,
      // One connection a request: a replaced token or CA is then never missed.
      agent: false,
    }),
  );
}

function sent(request: ReturnType<typeof httpRequest>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
    request.end();
  });
}

async function authorization(tokenFile: string | undefined): Promise<Record<string, string>> {
  if (tokenFile === undefined) return {};
  return { authorization: `Bearer ${(await readText(tokenFile)).trim()}` };
}

async function readBody(target: HttpTarget, body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > bodyBytesMax) throw new Error('the answer is too large');
      chunks.push(chunk);
    }
  } catch (error) {
    throw unavailable(target, describeError(error), error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

// A node has some hundred pods of some ten KiB each.
const bodyBytesMax = 64 * 1024 * 1024;
// An object of the API is at most 1.5 MiB, as its store has it, and more as JSON.
const lineCharactersMax = 8 * 1024 * 1024;
