/**
 * A gRPC server on connections that we accept ourselves, so that each call's caller is known: by the
 * kernel on a Unix socket, by its certificate on TLS. grpc-js gets the connection only after that.
 */

import { chmod, lstat, unlink } from 'node:fs/promises';
import {
  createServer,
  connect as netConnect,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  checkSocketPath,
  type Closable,
  CodedError,
  describeError,
  type Logger,
  systemErrorCode,
} from '../core/index.ts';
import { type Caller, Callers, type TlsCaller } from './caller.ts';
import type { CallerLookup } from './handlers.ts';
import { openPeerProcess, readPeerCredentials } from './peer-credentials.ts';
import { peerChainOf } from './peer-chain.ts';
import { startTlsHandshake } from './tls-handshake.ts';

export type ListenErrorCode = 'address_in_use' | 'address_forbidden' | 'address_unusable';

export class ListenError extends CodedError<ListenErrorCode> {
  override readonly name = 'ListenError';
  override readonly kind = 'failed_precondition';
}

/** What a TLS peer's certificate chain (DER, leaf first, maybe empty) makes it. */
export type PeerVerdict =
  | { readonly kind: 'accepted'; readonly identity: string | undefined }
  | { readonly kind: 'refused'; readonly detail: string };

export interface TlsListenOptions {
  readonly host: string;
  readonly port: number;
  /** Asked at every handshake, so that a rotated certificate needs no restart. Undefined refuses the handshake. */
  readonly context: () => SecureContext | undefined;
  readonly verifyPeer: (chain: readonly Uint8Array[]) => PeerVerdict;
  /** Told of each caller before its first call: to look after it, or to end it at once. */
  readonly onCaller?: (caller: TlsCaller, chain: readonly Uint8Array[]) => void;
  /** More connections than these are closed as they come, before they cost a handshake. */
  readonly connectionsMax?: number;
}

export interface RpcServer extends Closable {
  /** For the handlers of `handlers.ts`. */
  readonly lookup: CallerLookup;
  addService(definition: ServiceDefinition, implementation: UntypedServiceImplementation): void;
  /** Throws {@link ListenError} or SocketPathError. A stale socket file is replaced, a live one is not. */
  listenUnix(path: string, mode: number): Promise<void>;
  listenTls(options: TlsListenOptions): Promise<{ readonly port: number }>;
  connectionCount(): number;
}

export interface RpcServerOptions {
  /** The longest message that is read: what a caller can make this process hold for each of its streams. */
  readonly messageBytesMax: number;
}

export function createRpcServer(log: Logger, options: RpcServerOptions): RpcServer {
  const callers = new Callers();
  const listeners: NetServer[] = [];
  const sockets = new Set<Socket>();
  const unixPaths: string[] = [];
  const grpc = new Server({
    'grpc.max_receive_message_length': options.messageBytesMax,
    'grpc.max_concurrent_streams': streamsPerConnectionMax,
  });
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());

  const inject = (socket: Socket, caller: Caller, closed: AbortController): void => {
    socket.once('close', () => closed.abort());
    callers.add(caller);
    // grpc-js names the peer by these two; what it answers from getPeer() is then our connection name.
    Object.defineProperty(socket, 'remoteAddress', { value: caller.connection });
    Object.defineProperty(socket, 'remotePort', { value: undefined });
    injector.injectConnection(socket);
  };

  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', (error) => log.debug('connection failed', { reason: error.message }));
  };

  const acceptUnix = (socket: Socket): void => {
    track(socket);
    const closed = new AbortController();
    try {
      const process = openPeerProcess(socket);
      if (process !== undefined) socket.once('close', () => process.release());
      const credentials = readPeerCredentials(socket);
      const connection = callers.nextConnection();
      inject(
        socket,
        { kind: 'unix', connection, ...credentials, process, closed: closed.signal },
        closed,
      );
    } catch (error) {
      log.warn('a local connection was refused', {
        ...(error instanceof CodedError ? { code: error.code } : {}),
        reason: describeError(error),
      });
      socket.destroy();
    }
  };

  const acceptTls = (socket: TLSSocket, { verifyPeer, onCaller }: TlsListenOptions): void => {
    const address = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    const chain = peerChainOf(socket);
    const verdict = verifyPeer(chain);
    if (verdict.kind === 'refused') {
      log.warn('a TLS peer was refused', { address, reason: verdict.detail });
      socket.destroy();
      return;
    }
    const closed = new AbortController();
    const connection = callers.nextConnection();
    const { identity } = verdict;
    const caller: TlsCaller = {
      kind: 'tls',
      connection,
      address,
      identity,
      leaf: chain[0],
      closed: closed.signal,
      disconnect: () => void socket.destroy(),
    };
    inject(socket, caller, closed);
    onCaller?.(caller, chain);
  };

  return {
    lookup(peer) {
      const caller = callers.get(peer);
      if (caller === undefined)
        throw new ListenError('address_unusable', `unknown connection ${peer}`);
      return caller;
    },
    addService: (definition, implementation) => grpc.addService(definition, implementation),
    async listenUnix(path, mode) {
      checkSocketPath(path);
      await removeStaleSocket(path);
      const server = createServer(acceptUnix);
      await listening(server, { path, backlog: unixBacklog }, path);
      listeners.push(server);
      unixPaths.push(path);
      await chmod(path, mode);
    },
    async listenTls(tls) {
      const server = createServer((socket) => {
        track(socket);
        startTlsHandshake(socket, {
          context: tls.context(),
          protocols: ['h2'],
          onSecure: (secured) => acceptTls(secured, tls),
          onFailure: (reason) => log.debug('TLS handshake failed', { reason }),
        });
      });
      if (tls.connectionsMax !== undefined) server.maxConnections = tls.connectionsMax;
      await listening(server, { host: tls.host, port: tls.port }, `${tls.host}:${tls.port}`);
      listeners.push(server);
      const bound = server.address();
      return { port: typeof bound === 'object' && bound !== null ? bound.port : tls.port };
    },
    connectionCount: () => callers.count(),
    async close() {
      for (const listener of listeners) listener.close();
      grpc.forceShutdown();
      for (const socket of sockets) socket.destroy();
      await Promise.all(unixPaths.map((path) => unlink(path).catch(ignoreMissing)));
    },
  };
}

/** Waits until `server` listens. Throws {@link ListenError} that names the address and the remedy. */
export function listening(
  server: NetServer,
  where:
    | { readonly path: string; readonly backlog?: number }
    | { readonly host: string; readonly port: number },
  name: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(listenError(name, error));
    server.once('error', fail);
    server.listen(where, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

/** Removes a socket file that nobody serves. Throws {@link ListenError} if somebody does, or if it is no socket. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(ignoreMissing);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ListenError('address_unusable', `${path} exists and is not a socket`, {
      remedy: 'remove it or choose another socket path',
    });
  }
  if (await isServed(path)) {
    throw new ListenError('address_in_use', `${path} is served by another process`, {
      remedy: 'stop it or choose another socket path',
    });
  }
  await unlink(path).catch(ignoreMissing);
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = netConnect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function listenError(name: string, error: Error): ListenError {
  const code = systemErrorCode(error);
  if (code === 'EADDRINUSE') {
    return new ListenError('address_in_use', `${name} is in use by another process`, {
      remedy: 'stop it or choose another address',
    });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new ListenError('address_forbidden', `this user may not listen on ${name}`, {
      remedy: 'check the directory and its mode, or choose a port above 1023',
    });
  }
  if (code === 'ENOENT') {
    return new ListenError('address_unusable', `the directory of ${name} does not exist`, {
      remedy: 'create it first',
    });
  }
  return new ListenError('address_unusable', `cannot listen on ${name}`, { cause: error });
}

function ignoreMissing(error: unknown): undefined {
  if (systemErrorCode(error) !== 'ENOENT') throw error;
}

// An Envoy opens one stream per secret it watches; hundreds are normal, more than this is abuse.
const streamsPerConnectionMax = 4096;

// Every workload of a node comes back when its agent does; Linux refuses at once (EAGAIN) whoever finds it full.
const unixBacklog = 4096;
