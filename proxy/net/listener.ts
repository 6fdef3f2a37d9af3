/** A listening socket, TCP or Unix: accepts within its limits and hands each connection to its filter chain. */

import { createServer, type Server, type Socket } from 'node:net';
import type { Closable } from '../../core/index.ts';
import { listening, removeStaleSocket } from '../../rpc/index.ts';
import { addressOf, addressText } from './address.ts';
import { arrive } from './arrival.ts';
import { ConnectionCount, SourceCounts } from './connection-limits.ts';
import { needsInspection } from './filter-chain.ts';
import { keepAlive } from './keep-alive.ts';
import type { ListenerDeps, ListenerOptions, ListenerState } from './listener-options.ts';
import { RefusalLog } from './refusal-log.ts';

export interface Listener extends Closable {
  readonly name: string;
  /** 0 for a Unix socket. */
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
  const state = {
    options,
    deps,
    own: new ConnectionCount(options.connectionsMax),
    sources: new SourceCounts(options.connectionsPerSourceMax),
    refusals: new RefusalLog(options.name, deps.log, deps.clock),
    inspects: needsInspection(options.chains),
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true, ...keepAlive }, (socket) =>
    accept(socket, sockets, state),
  );
  await listen(server, options);
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

async function listen(
  server: Server,
  { name, address, reusePort }: ListenerOptions,
): Promise<void> {
  if ('path' in address) {
    await removeStaleSocket(address.path);
    await listening(server, { path: address.path, backlog }, `listener ${name}: ${address.path}`);
    return;
  }
  const { host, port } = address;
  // Node refuses the option, even as false, where the system has none.
  const where = { host, port, backlog, ...(reusePort ? { reusePort } : {}) };
  await listening(server, where, `listener ${name}: ${host}:${port}`);
}

function accept(
  socket: Socket,
  sockets: Set<Socket>,
  state: ListenerState & { readonly own: ConnectionCount },
): void {
  const { stats, connections } = state.deps;
  // Until somebody else takes care of it, an error must not end the process.
  socket.on('error', ignore);
  const counts = [state.own, connections];
  if (counts.some((count) => count.isFull)) {
    stats.connectionsOverLimit += 1;
    const whose = state.own.isFull ? 'listener' : 'proxy';
    const peer = addressText(addressOf(socket.remoteAddress, socket.remotePort));
    state.refusals.write(
      'connectionsOverLimit',
      peer,
      `the ${whose} has too many connections; connectionsMax bounds them`,
    );
    socket.destroy();
    return;
  }
  for (const count of counts) count.add();
  sockets.add(socket);
  stats.connectionsAccepted += 1;
  stats.connectionsActive += 1;
  socket.once('close', () => {
    for (const count of counts) count.remove();
    sockets.delete(socket);
    stats.connectionsActive -= 1;
  });
  arrive(socket, state);
}

/** The port a listening server has; the config may have said 0. A Unix socket has none. */
export function boundPort(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

function ignore(): void {}

// What the kernel holds while the loop is busy with a burst; it is cut to net.core.somaxconn anyway.
const backlog = 4096;
