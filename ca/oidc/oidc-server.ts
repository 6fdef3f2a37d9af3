/**
 * The discovery endpoint: two public documents over plain HTTP. It holds no secret and changes nothing,
 * so it needs no caller; TLS under the issuer's name is the task of the front before it.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Closable, Watch } from '../../core/index.ts';
import { listening } from '../../rpc/index.ts';
import type { Trust } from '../authority/trust.ts';
import { discoveryDocument, discoveryPaths, keysDocument } from './discovery.ts';
import type { OidcConfig } from './oidc-config.ts';

export interface RunningOidc extends Closable {
  readonly port: number;
}

/** Throws ListenError. */
export async function startOidcServer(
  { listen, issuer }: OidcConfig,
  trust: Pick<Watch<Trust>, 'current'>,
): Promise<RunningOidc> {
  const paths = discoveryPaths(issuer);
  const document = discoveryDocument(issuer);
  const documentAt = (path: string): string | undefined =>
    path === paths.document
      ? document
      : path === paths.keys
        ? keysDocument(trust.current().bundle)
        : undefined;
  const server = createServer(limits, (request, response) => {
    answer(request, response, documentAt);
  });
  server.maxConnections = connectionsMax;
  await listening(server, listen, `${listen.host}:${listen.port}`);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  documentAt: (path: string) => string | undefined,
): void {
  const { method, url = '/' } = request;
  const [path = '/'] = url.split('?');
  const body = documentAt(path);
  if (body === undefined) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
  } else if (method === 'GET' || method === 'HEAD') {
    response
      .writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'cache-control': `public, max-age=${cacheSeconds}`,
        // Pages may read what everybody may read.
        'access-control-allow-origin': '*',
      })
      .end(method === 'HEAD' ? undefined : body);
  } else {
    response
      .writeHead(405, { allow: 'GET, HEAD', 'content-type': 'text/plain' })
      .end('read only\n');
  }
}

// A front keeps few connections open; without one this many readers are served at a time.
const connectionsMax = 256;
const limits = { headersTimeout: 5000, requestTimeout: 10_000, keepAliveTimeout: 30_000 };
// A new key is in the document longer than this before it signs.
const cacheSeconds = 60;
