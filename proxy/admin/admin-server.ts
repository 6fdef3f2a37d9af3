/** The admin port: what the proxy is doing, in JSON and for Prometheus. Nothing here changes anything. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Closable } from '../../core/index.ts';
import { type Address, boundPort } from '../net/listener.ts';
import { listening } from '../../rpc/index.ts';
import { certificatesView } from './certificates-view.ts';
import { prometheusText } from './prometheus-text.ts';
import type { ProxyView } from './proxy-view.ts';
import { readiness } from './readiness.ts';

export interface AdminServer extends Closable {
  readonly port: number;
}

/** Throws rpc's ListenError. */
export async function startAdmin(address: Address, view: ProxyView): Promise<AdminServer> {
  const server = createServer((request, response) => answer(request, response, view));
  server.headersTimeout = requestMsMax;
  server.requestTimeout = requestMsMax;
  await listening(server, address, `admin port ${address.host}:${address.port}`);
  return {
    port: boundPort(server),
    close: () => closeServer(server),
  };
}

function answer(request: IncomingMessage, response: ServerResponse, view: ProxyView): void {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(response, 405, { error: 'the admin port only answers GET' });
    return;
  }
  const url = new URL(request.url ?? '/', 'http://admin');
  switch (url.pathname) {
    case '/stats':
      if (url.searchParams.get('format') === 'prometheus') sendMetrics(response, view);
      else send(response, 200, view.stats());
      return;
    case '/metrics':
      sendMetrics(response, view);
      return;
    case '/certs':
      send(response, 200, certificatesView(view.material(), view.nowMs()));
      return;
    case '/listeners':
      send(response, 200, { listeners: view.listeners() });
      return;
    case '/livez':
      send(response, 200, { status: 'alive' });
      return;
    case '/readyz': {
      const answered = readiness(view);
      send(response, answered.isReady ? 200 : 503, answered);
      return;
    }
    default:
      send(response, 404, { error: `there is no ${url.pathname}; there are ${paths.join(', ')}` });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function sendMetrics(response: ServerResponse, view: ProxyView): void {
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
  response.end(prometheusText(view.stats()));
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

const paths = ['/stats', '/metrics', '/certs', '/listeners', '/livez', '/readyz'];
// Requests to this port are one line.
const requestMsMax = 5000;
