/** Metrics and probes over plain HTTP, for those who come without an identity. Nothing else is there. */

import { createServer, type ServerResponse } from 'node:http';
import type { Closable, Logger } from '../../core/index.ts';
import { listening } from '../../rpc/index.ts';
import type { PrometheusMetrics } from './prometheus-metrics.ts';
import type { Readiness } from './readiness.ts';

export interface MetricsListener extends Closable {
  readonly port: number;
}

/** Throws ListenError. */
export async function startMetricsListener(p: {
  readonly host: string;
  readonly port: number;
  readonly metrics: Pick<PrometheusMetrics, 'text' | 'contentType'>;
  readonly readiness: () => Promise<Readiness>;
  readonly log: Logger;
}): Promise<MetricsListener> {
  const answer = async (path: string, response: ServerResponse): Promise<void> => {
    if (path === '/metrics')
      return send(response, 200, p.metrics.contentType, await p.metrics.text());
    if (path === '/livez') return sendJson(response, 200, { status: 'ok' });
    if (path === '/readyz') {
      const { isReady, reasons } = await p.readiness();
      const status = isReady ? 'ok' : 'not ready';
      return sendJson(response, isReady ? 200 : 503, { status, reasons });
    }
    return sendJson(response, 404, { error: 'there are /metrics, /livez and /readyz' });
  };
  const server = createServer((request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendJson(response, 405, { error: 'this port only answers GET' });
      return;
    }
    const [path = '/'] = (request.url ?? '/').split('?');
    answer(path, response).catch((error: unknown) => {
      p.log.error('a probe could not be answered', { path, error });
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: 'internal error' });
    });
  });
  server.headersTimeout = requestMsMax;
  server.requestTimeout = requestMsMax;
  server.maxConnections = connectionsMax;
  await listening(server, { host: p.host, port: p.port }, `metrics listener ${p.host}:${p.port}`);
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : p.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  send(response, status, 'application/json', `${JSON.stringify(body)}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
}

// Requests to this port are one line.
const requestMsMax = 5000;
// A scraper and some probes.
const connectionsMax = 64;
