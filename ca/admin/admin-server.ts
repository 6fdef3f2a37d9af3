/** The admin API: HTTP/JSON on a Unix socket that only the CA's own user may open. */

import { createServer } from 'node:http';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { httpStatusOf, type Problem } from '../../api/index.ts';
import { chmod } from 'node:fs/promises';
import { type Closable, CodedError, type Logger } from '../../core/index.ts';
import { listening, removeStaleSocket } from '../../rpc/index.ts';
import type { AuditedRefusal } from '../audit/event.ts';
import { actorOf, type AdminDeps } from './admin-context.ts';
import { auditRoutes } from './audit-routes.ts';
import { authorityRoutes } from './authority-routes.ts';
import { bundleRoutes } from './bundle-routes.ts';
import { entryRoutes } from './entry-routes.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { nodeRoutes } from './node-routes.ts';
import { statusRoutes } from './status-routes.ts';

/** Throws ListenError or SocketPathError. */
export async function startAdminServer(
  deps: AdminDeps,
  socketPath: string,
  log: Logger,
): Promise<Closable> {
  const app = createAdminApp(deps, log);
  await removeStaleSocket(socketPath);
  await app.ready();
  try {
    await listening(app.server, { path: socketPath }, socketPath);
    await chmod(socketPath, socketMode);
  } catch (error) {
    await app.close();
    throw error;
  }
  return {
    async close() {
      // fastify closes only a server that it told to listen itself.
      app.server.close();
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

function createAdminApp(deps: AdminDeps, log: Logger): FastifyInstance {
  const app = fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestMsMax,
    forceCloseConnections: true,
    serverFactory: (handler) => createServer(handler),
  });
  app.setErrorHandler((error, request, reply) => {
    sendProblem(reply, problemOf(error, request, log));
  });
  app.setNotFoundHandler((request, reply) => {
    const title = `there is no ${request.method} ${request.url}`;
    sendProblem(reply, { code: 'route_unknown', kind: 'not_found', title, status: 404 });
  });
  recordCalls(app, deps, log);
  const routes = [
    ...entryRoutes(deps),
    ...nodeRoutes(deps),
    ...bundleRoutes(deps),
    ...authorityRoutes(deps),
    ...auditRoutes(deps),
    ...statusRoutes(deps),
    ...metricsRoutes(deps),
  ];
  for (const route of routes) app.route(route);
  return app;
}

/**
 * Every call that means to change something is recorded as it is answered, refusals included. What it
 * changed has a record of its own.
 */
function recordCalls(app: FastifyInstance, deps: AdminDeps, log: Logger): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.method === 'GET' || request.method === 'HEAD') return payload;
    const refusal = refusals.get(request);
    try {
      await deps.audit.append({
        actor: actorOf(request),
        type: 'admin.call',
        method: request.method,
        path: request.url.slice(0, pathLengthMax),
        status: reply.statusCode,
        ...(refusal === undefined ? {} : { refusal }),
      });
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      log.error('an admin call could not be recorded', { reason: error.message });
    }
    return payload;
  });
}

function problemOf(error: unknown, request: FastifyRequest, log: Logger): Problem {
  if (error instanceof CodedError) {
    const { kind, code, message, remedy } = error;
    const problem = { code, kind, title: message, status: httpStatusOf[kind] };
    return remedy === undefined ? problem : { ...problem, remedy };
  }
  const status = statusOf(error);
  if (status !== undefined && status < 500) {
    const title = error instanceof Error ? error.message : 'the request is not understood';
    return { code: 'request_invalid', kind: 'invalid_argument', title, status };
  }
  log.error('an admin call failed', { method: request.method, path: request.url, error });
  return { code: 'internal', kind: 'internal', title: 'internal error', status: 500 };
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

function sendProblem(reply: FastifyReply, problem: Problem): void {
  refusals.set(reply.request, { code: problem.code, detail: problem.title });
  void reply.code(problem.status).type('application/problem+json').send(problem);
}

const refusals = new WeakMap<FastifyRequest, AuditedRefusal>();

// Whoever opens this socket is an administrator of the trust domain.
const socketMode = 0o600;
// An entry with a hundred selectors of two kilobytes.
const bodyBytesMax = 256 * 1024;
const requestMsMax = 10_000;
const pathLengthMax = 256;
