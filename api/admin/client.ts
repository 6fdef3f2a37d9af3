/** The admin API's client: what the CLI and the console use, and nothing else. */

import { Buffer } from 'node:buffer';
import { request as httpRequest } from 'node:http';
import type { z } from 'zod';
import { checkSocketPath, systemErrorCode } from '../../core/index.ts';
import {
  authorityListSchema,
  authoritySchema,
  type AuthorityList,
  type AuthorityView,
} from './authorities.ts';
import {
  type CreateEntry,
  type EntryList,
  type EntryView,
  entryListSchema,
  entrySchema,
} from './entries.ts';
import {
  type CreateToken,
  type NodeList,
  nodeListSchema,
  tokenSchema,
  type TokenView,
} from './nodes.ts';
import { AdminError, isErrorKind, problemSchema } from './problem.ts';
import { type AuditList, auditListSchema, statusSchema, type StatusView } from './status.ts';

/** Every method throws {@link AdminError}: the server's refusal, or `admin_unreachable`. */
export interface AdminClient {
  status(): Promise<StatusView>;
  createToken(token: CreateToken): Promise<TokenView>;
  createEntry(entry: CreateEntry): Promise<EntryView>;
  listEntries(page: { after?: string; limit?: number }): Promise<EntryList>;
  getEntry(id: string): Promise<EntryView>;
  deleteEntry(id: string): Promise<EntryView>;
  listNodes(): Promise<NodeList>;
  /** The bundle as a SPIFFE JWKS document, as text. */
  bundle(): Promise<string>;
  listAuthorities(): Promise<AuthorityList>;
  prepareAuthority(): Promise<AuthorityView>;
  activateAuthority(id: string, force: boolean): Promise<AuthorityView>;
  retireAuthority(id: string, force: boolean): Promise<AuthorityView>;
  /** Records from index `from` on, oldest first; a negative `from` counts back from the end. */
  audit(page: { from: number; limit?: number }): Promise<AuditList>;
}

/** A client for the admin socket of a CA. Throws SocketPathError. */
export function adminClient(socketPath: string): AdminClient {
  checkSocketPath(socketPath);
  const get = (path: string): Promise<string> => exchange(socketPath, 'GET', path);
  const post = (path: string, body: unknown): Promise<string> =>
    exchange(socketPath, 'POST', path, body);
  const part = encodeURIComponent;
  return {
    status: async () => read(statusSchema, await get('/v1/status')),
    createToken: async (token) => read(tokenSchema, await post('/v1/tokens', token)),
    createEntry: async (entry) => read(entrySchema, await post('/v1/entries', entry)),
    listEntries: async (page) => read(entryListSchema, await get(`/v1/entries${query(page)}`)),
    getEntry: async (id) => read(entrySchema, await get(`/v1/entries/${part(id)}`)),
    deleteEntry: async (id) =>
      read(entrySchema, await exchange(socketPath, 'DELETE', `/v1/entries/${part(id)}`)),
    listNodes: async () => read(nodeListSchema, await get('/v1/nodes')),
    bundle: () => get('/v1/bundle'),
    listAuthorities: async () => read(authorityListSchema, await get('/v1/authorities')),
    prepareAuthority: async () => read(authoritySchema, await post('/v1/authorities/prepare', {})),
    activateAuthority: async (id, force) =>
      read(authoritySchema, await post(`/v1/authorities/${part(id)}/activate`, { force })),
    retireAuthority: async (id, force) =>
      read(authoritySchema, await post(`/v1/authorities/${part(id)}/retire`, { force })),
    audit: async (page) => read(auditListSchema, await get(`/v1/audit${query(page)}`)),
  };
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<string> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        socketPath,
        method,
        path,
        timeout: timeoutMs,
        headers: {
          host: 'localhost',
          ...(payload === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': payload.length }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > bodyBytesMax)
            request.destroy(new Error(`an answer over ${bodyBytesMax} bytes`));
          else chunks.push(chunk);
        });
        response.on('error', (error) => reject(unreachable(socketPath, error)));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const status = response.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve(text);
          else reject(problemOf(status, text));
        });
      },
    );
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)),
    );
    request.on('error', (error) => reject(unreachable(socketPath, error)));
    request.end(payload);
  });
}

function read<Schema extends z.ZodType>(schema: Schema, text: string): z.output<Schema> {
  const result = schema.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  throw new AdminError(
    'internal',
    'admin_answer',
    `the CA's answer is not understood: ${result.error.message}`,
  );
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

function unreachable(socketPath: string, error: Error): AdminError {
  const code = systemErrorCode(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new AdminError(
      'failed_precondition',
      'admin_unreachable',
      `no CA answers on ${socketPath}`,
      'start it with `signet ca run`, or give its admin socket with --socket',
    );
  }
  if (code === 'EACCES') {
    return new AdminError(
      'permission_denied',
      'admin_forbidden',
      `this user may not use ${socketPath}`,
      'run the command as the user that runs the CA',
    );
  }
  return new AdminError(
    'unavailable',
    'admin_unreachable',
    `the CA on ${socketPath} gave no answer`,
    undefined,
    error,
  );
}

function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined) search.set(key, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

const timeoutMs = 30_000;
const bodyBytesMax = 256 * 1024 * 1024;
