/** The admin API over TCP: mutual TLS with SVIDs of our own trust domain, and nothing without one. */

import type { Server as HttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Closable, Logger } from '../../core/index.ts';
import { listening, startTlsHandshake } from '../../rpc/index.ts';
import type { AdminCallers } from './admin-caller.ts';

export interface AdminListener extends Closable {
  readonly port: number;
}

/** Hands connections whose peer is verified to `http`. Throws ListenError. */
export async function startAdminListener(p: {
  readonly http: HttpServer;
  readonly host: string;
  readonly port: number;
  /** Asked at every handshake, so that a rotated certificate needs no restart. */
  readonly context: () => SecureContext | undefined;
  readonly callers: AdminCallers;
  readonly log: Logger;
}): Promise<AdminListener> {
  const { http, host, log } = p;
  const accept = (socket: TLSSocket): void => {
    const reason = p.callers.admit(socket);
    if (reason === undefined) {
      socket.on('error', (error) =>
        log.debug('admin connection failed', { reason: error.message }),
      );
      http.emit('connection', socket);
      return;
    }
    const address = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    log.warn('an admin peer was refused', { address, reason });
    socket.destroy();
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    startTlsHandshake(socket, {
      context: p.context(),
      protocols: ['http/1.1'],
      onSecure: accept,
      onFailure: (reason) => log.debug('admin TLS handshake failed', { reason }),
    });
  });
  server.maxConnections = connectionsMax;
  await listening(server, { host, port: p.port }, `admin listener ${host}:${p.port}`);
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : p.port,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

// Operators and their programs are few; more than this is somebody who does not close.
const connectionsMax = 256;
