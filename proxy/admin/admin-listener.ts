/** An HTTP server that only answers GET, for a proxy's admin port and for that of its workers together. */

import { createServer, type Server, type ServerResponse } from 'node:http';
import { type Closable, describeError } from '../../core/index.ts';
import type { Address } from '../net/address.ts';
import { boundPort } from '../net/listener.ts';
import { listening } from '../../rpc/index.ts';

export interface AdminServer extends Closable {
  readonly port: number;
}

export interface AdminAnswer {
  readonly status: number;
  /** Text as Prometheus reads it; anything else is sent as JSON. */
  readonly body: string | object;
}

/** `answer` gives undefined for a path that there is not. Throws rpc's ListenError. */
export async function listenAdmin(
  address: Address,
  answer: (url: URL) => AdminAnswer | undefined | Promise<AdminAnswer | undefined>,
): Promise<AdminServer> {
  const server = createServer((request, response) => {
    const { method = '', url = '/' } = request;
    void answered(method, url, answer).then((each) => send(response, each));
  });
  server.headersTimeout = requestMsMax;
  server.requestTimeout = requestMsMax;
  await listening(server, address, `admin port ${address.host}:${address.port}`);
  return {
    port: boundPort(server),
    close: () => closeServer(server),
  };
}

/** A fault of one view must not end a proxy that carries traffic. */
async function answered(
  method: string,
  target: string,
  answer: (url: URL) => AdminAnswer | undefined | Promise<AdminAnswer | undefined>,
): Promise<AdminAnswer> {
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, body: { error: 'the admin port only answers GET' } };
  }
  // What llhttp lets through as a target is not always a URL: `//` is none.
  const url = URL.parse(target, 'http://admin');
  if (url === null) {
    return { status: 400, body: { error: 'the target of the request is not a URL' } };
  }
  try {
    const found = await answer(url);
    const known = adminPaths.join(', ');
    return (
      found ?? { status: 404, body: { error: `there is no ${url.pathname}; there are ${known}` } }
    );
  } catch (error) {
    return { status: 500, body: { error: describeError(error) } };
  }
}

function send(response: ServerResponse, { status, body }: AdminAnswer): void {
  const isText = typeof body === 'string';
  const type = isText ? 'text/plain; version=0.0.4' : 'application/json';
  response.writeHead(status, { 'content-type': type });
  response.end(isText ? body : `${JSON.stringify(body)}\n`);
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

const adminPaths = ['/stats', '/metrics', '/certs', '/listeners', '/livez', '/readyz'];
// Requests to this port are one line.
const requestMsMax = 5000;
