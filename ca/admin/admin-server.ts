/**
 * The admin API: HTTP/JSON on a Unix socket that only the CA's own user may open, and over mutual TLS for
 * whoever the config gives a role.
 */

import { chmod } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { SecureContext } from 'node:tls';
import fastify, { type FastifyInstance } from 'fastify';
import { AdminError } from '../../api/index.ts';
import { type Closable, CodedError, type Logger, Scope } from '../../core/index.ts';
import { listening, removeStaleSocket } from '../../rpc/index.ts';
import { measureAdminCalls } from '../metrics/admin-metrics.ts';
import { AdminCallers } from './admin-caller.ts';
import { actorOf, type AdminDeps, admit } from './admin-context.ts';
import { startAdminListener } from './admin-listener.ts';
import { decideRole, type RoleRule } from './admin-roles.ts';
import { answerOnce } from './answer-once.ts';
import { auditRoutes } from './audit-routes.ts';
import { authorityRoutes } from './authority-routes.ts';
import { backupRoutes } from './backup-routes.ts';
import { bundleRoutes } from './bundle-routes.ts';
import { federatedBundleRoutes } from './federated-bundle-routes.ts';
import { entryRoutes } from './entry-routes.ts';
import { parseJsonBody } from './json-body.ts';
import { jwtRoutes } from './jwt-routes.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { nodeRoutes } from './node-routes.ts';
import { openApiRoutes } from './openapi-routes.ts';
import { policyRoutes } from './policy-routes.ts';
import { refusalOf, replyWithProblem, sendProblem } from './problem-reply.ts';
import { requestIdOf } from './request-id.ts';
import { operationOf } from './route.ts';
import { revocationRoutes } from './revocation-routes.ts';
import { ruleRoutes } from './rule-routes.ts';
import { secretRoutes } from './secret-routes.ts';
import { statusRoutes } from './status-routes.ts';
import { answerUnreadable } from './unreadable-request.ts';

/** Where the admin API is served, and to whom. */
export interface AdminDoors {
  readonly socketPath: string;
  /** Absent: no TCP listener. */
  readonly tls?: {
    readonly listen: { readonly host: string; readonly port: number };
    readonly context: () => SecureContext | undefined;
    readonly roles: readonly RoleRule[];
  };
}

export interface AdminServer extends Closable {
  /** Of the TCP listener. */
  readonly port: number | undefined;
}

/** Throws ListenError or SocketPathError. */
export async function startAdminServer(
  deps: AdminDeps,
  doors: AdminDoors,
  log: Logger,
): Promise<AdminServer> {
  const { clock, authorities } = deps;
  const { socketPath, tls } = doors;
  const callers = new AdminCallers({
    clock,
    trust: authorities.trust,
    roles: tls?.roles ?? [],
    isRevoked: (serial) => deps.revocations.isRevoked(serial),
    isOfAdminEntry(serial, id) {
      const entryId = deps.revocations.entryOf(serial);
      return entryId !== undefined && deps.administrators.givesAdmin(entryId, id);
    },
    isAdministrator: (id) => deps.administrators.isAdministrator(id),
    uid: process.getuid?.(),
  });
  const app = createAdminApp(deps, callers, log);
  const http = app.server;
  const scope = new Scope();
  try {
    await removeStaleSocket(socketPath);
    await app.ready();
    scope.onClose(async () => {
      // fastify closes only a server that it told to listen itself.
      http.close();
      http.closeAllConnections();
      await app.close();
    });
    await listening(http, { path: socketPath }, socketPath);
    await chmod(socketPath, socketMode);
    if (tls === undefined) return { port: undefined, close: () => scope.close() };
    const { context, listen } = tls;
    const listener = scope.add(
      await startAdminListener({ http, ...listen, context, callers, log }),
    );
    return { port: listener.port, close: () => scope.close() };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

function createAdminApp(deps: AdminDeps, callers: AdminCallers, log: Logger): FastifyInstance {
  const app = fastify({
    bodyLimit: bodyBytesMax,
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket, log),
    routerOptions: { maxParamLength: parameterLengthMax },
    forceCloseConnections: true,
    genReqId: (request) => requestIdOf(request, deps.random),
    // A factory's server gets no bounds from fastify.
    serverFactory: (handler) => createServer(serverBounds, handler),
    // Faults that fastify finds before any route: a path that is not UTF-8, a version it does not know.
    frameworkErrors: (error, _request, reply) => {
      replyWithProblem(error, reply, log);
    },
  });
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (_: unknown, body: Buffer) => parseJsonBody(body),
  );
  app.setErrorHandler((error, _request, reply) => {
    replyWithProblem(error, reply, log);
  });
  app.setNotFoundHandler((request, reply) => {
    const title = `there is no ${request.method} ${request.url.slice(0, pathLengthMax)}`;
    sendProblem(reply, { code: 'route_unknown', kind: 'not_found', title, status: 404 });
  });
  authorizeCalls(app, callers);
  recordCalls(app, deps, log);
  measureCalls(app, deps);
  answerOnce(app, deps.clock);
  const routes = [
    ...entryRoutes(deps),
    ...nodeRoutes(deps),
    ...ruleRoutes(deps),
    ...bundleRoutes(deps),
    ...federatedBundleRoutes(deps),
    ...secretRoutes(deps),
    ...authorityRoutes(deps),
    ...auditRoutes(deps),
    ...revocationRoutes(deps),
    ...policyRoutes(deps),
    ...jwtRoutes(deps),
    ...statusRoutes(deps),
    ...metricsRoutes(deps),
    ...backupRoutes(deps),
  ];
  for (const route of [...routes, ...openApiRoutes(routes, deps.version)]) app.route(route);
  return app;
}

/** Before a byte of the body is read: who calls, and whether their role covers this operation. */
function authorizeCalls(app: FastifyInstance, callers: AdminCallers): void {
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    const caller = callers.of(request.raw.socket);
    if (request.is404) {
      admit(request, caller, [], []);
      return;
    }
    const verdict = decideRole(caller.grants, operationOf(request.routeOptions));
    // Also when it is refused, so that the record of the refusal names the caller.
    if (verdict.kind === 'allowed') {
      admit(request, caller, verdict.paths, verdict.reaches);
      return;
    }
    admit(request, caller, [], []);
    throw new AdminError(
      'permission_denied',
      'admin_role',
      `${caller.actor.id} may not: ${verdict.reason}`,
      'give it a role under admin.roles in the config of the CA',
    );
  });
}

/**
 * Every call that means to change something is recorded as it is answered, refusals included. What it
 * changed has a record of its own.
 */
function recordCalls(app: FastifyInstance, deps: AdminDeps, log: Logger): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.method === 'GET' || request.method === 'HEAD') return payload;
    const actor = actorOf(request);
    const refusal = refusalOf(request);
    // A peer without any role is every workload of the mesh: their tries go to the log, not to the record.
    if (actor.id === '' || refusal?.code === 'admin_role') {
      log.warn('an admin call was refused', { id: request.id, actor: actor.id, ...refusal });
      return payload;
    }
    try {
      await deps.audit.append({
        actor,
        type: 'admin.call',
        method: request.method,
        path: request.url.slice(0, pathLengthMax),
        status: reply.statusCode,
        requestId: request.id,
        ...(refusal === undefined ? {} : { refusal }),
      });
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      log.error('an admin call could not be recorded', { reason: error.message });
    }
    return payload;
  });
}

/** Every call, also one that is refused before a route is found. */
function measureCalls(app: FastifyInstance, { metrics }: AdminDeps): void {
  const calls = measureAdminCalls(metrics);
  app.addHook('onResponse', async (request, reply) => {
    // What is asked for where there is nothing is a stranger's word, and no value of a label.
    const resource = request.routeOptions.config?.operation?.resource ?? 'none';
    const status = reply.statusCode < 400 ? 'ok' : `http_${reply.statusCode}`;
    const outcome = refusalOf(request)?.code ?? status;
    calls.ended({ method: request.method, resource, outcome }, reply.elapsedTime);
  });
}

// Whoever opens this socket is an administrator of the trust domain.
const socketMode = 0o600;
// An entry with a hundred selectors of two kilobytes.
const bodyBytesMax = 256 * 1024;
// Who sends slower than this holds a descriptor for nothing; an import over a slow line still fits.
const serverBounds = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  maxHeaderSize: 16 * 1024,
};
const pathLengthMax = 256;
// A SPIFFE ID is at most 2,048 bytes (SPIFFE-ID §2.4), and may be a parameter, escaped.
const parameterLengthMax = 3 * 2048;
