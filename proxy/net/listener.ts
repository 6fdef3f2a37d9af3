/** A listening TCP socket: accepts within a limit, secures, and hands on connections whose peer is known. */

import { createServer, type Server, type Socket } from 'node:net';
import type { Closable, Logger } from '../../core/index.ts';
import type { PeerPolicy } from '../../policies/index.ts';
import { listening } from '../../rpc/index.ts';
import { Connection } from './connection.ts';
import type { Deadlines } from './deadlines.ts';
import { type AcceptOutcome, acceptTls } from './mtls/accept-tls.ts';
import type { TlsSource } from './mtls/tls-source.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ListenerOptions {
  readonly name: string;
  readonly address: Address;
  readonly connectionsMax: number;
  /** Undefined only where the config says `plaintext: true`. */
  readonly tls: ListenerTls | undefined;
}

export interface ListenerTls {
  readonly source: TlsSource;
  readonly policy: PeerPolicy;
  readonly protocols: readonly string[];
}

export interface ListenerDeps {
  readonly deadlines: Deadlines;
  readonly log: Logger;
  readonly stats: ListenerStats;
  readonly onConnection: (connection: Connection) => void;
}

/** Counters of one listener. Plain numbers, written on the hot path and read by the admin port. */
export interface ListenerStats {
  connectionsAccepted: number;
  connectionsActive: number;
  connectionsOverLimit: number;
  tlsNotReady: number;
  tlsHandshakes: number;
  tlsHandshakesFailed: number;
  tlsPeersRefused: number;
  /** Live connections that were ended because the peer's certificate was revoked. */
  tlsPeersRevoked: number;
}

export interface Listener extends Closable {
  readonly name: string;
  readonly port: number;
  /** Connections now open. */
  connections(): ReadonlySet<Socket>;
  /** Stops accepting; what is open stays open. */
  stopAccepting(): void;
}

/** Starts to listen. Throws rpc's ListenError that names the address and what to do. */
export async function startListener(
  options: ListenerOptions,
  deps: ListenerDeps,
): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) =>
    accept(socket, sockets, options, deps),
  );
  const { host, port } = options.address;
  const where = { host, port, backlog };
  await listening(server, where, `listener ${options.name}: ${host}:${port}`);
  server.on('error', (error) => {
    deps.log.error('accepting failed', { listener: options.name, reason: error.message });
  });
  return {
    name: options.name,
    port: boundPort(server),
    connections: () => sockets,
    stopAccepting: () => {
      server.close();
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function accept(
  socket: Socket,
  sockets: Set<Socket>,
  options: ListenerOptions,
  deps: ListenerDeps,
): void {
  const { stats } = deps;
  // Until somebody else takes care of it, an error must not end the process.
  socket.on('error', ignore);
  if (sockets.size >= options.connectionsMax) {
    stats.connectionsOverLimit += 1;
    socket.destroy();
    return;
  }
  sockets.add(socket);
  stats.connectionsAccepted += 1;
  stats.connectionsActive += 1;
  socket.once('close', () => {
    sockets.delete(socket);
    stats.connectionsActive -= 1;
  });
  if (options.tls === undefined) {
    deps.onConnection(new Connection(socket, undefined, deps.deadlines, undefined));
  } else {
    secure(socket, options.tls, options.name, deps);
  }
}

function secure(socket: Socket, tls: ListenerTls, name: string, deps: ListenerDeps): void {
  const { stats, log, deadlines } = deps;
  const answer = tls.source.current();
  if (answer.kind === 'not_ready') {
    stats.tlsNotReady += 1;
    log.debug('a connection was closed, TLS is not ready', { listener: name, ...answer });
    socket.destroy();
    return;
  }
  const { material } = answer;
  acceptTls(socket, { ...tls, material, deadlines }, (outcome, secured) => {
    count(outcome, stats);
    if (outcome.kind === 'accepted') {
      const connection = new Connection(secured, outcome.id, deadlines, undefined);
      const forget = tls.source.watchPeer(outcome.certificate, (reason) => {
        stats.tlsPeersRevoked += 1;
        log.warn('a TLS peer was revoked', { listener: name, peer: outcome.id, reason });
        connection.destroy(reason);
      });
      secured.once('close', forget);
      deps.onConnection(connection);
      return;
    }
    const peer = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    const fields = { listener: name, peer, reason: outcome.detail };
    if (outcome.kind === 'refused') log.warn('a TLS peer was refused', fields);
    // Port scanners and load balancers' probes fail handshakes all day.
    else log.debug('a TLS handshake failed', fields);
  });
}

function count(outcome: AcceptOutcome, stats: ListenerStats): void {
  switch (outcome.kind) {
    case 'accepted':
      stats.tlsHandshakes += 1;
      return;
    case 'refused':
      stats.tlsHandshakes += 1;
      stats.tlsPeersRefused += 1;
      return;
    case 'failed':
      stats.tlsHandshakesFailed += 1;
  }
}

/** The port a listening server has; the config may have said 0. */
export function boundPort(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

function ignore(): void {}

// What the kernel holds while the loop is busy with a burst; it is cut to net.core.somaxconn anyway.
const backlog = 4096;
