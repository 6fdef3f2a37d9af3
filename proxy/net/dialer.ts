/** Opens a connection to an endpoint, in mutual TLS where the cluster says so and never in clear then. */

import type { Buffer } from 'node:buffer';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Logger } from '../../core/index.ts';
import type { PeerPolicy } from '../../policies/index.ts';
import { peerChainOf } from '../../rpc/index.ts';
import { Connection, type ConnectionDeps } from './connection.ts';
import { type Expiring, never } from './deadlines.ts';
import { Inlet } from './inlet.ts';
import { keepAlive } from './keep-alive.ts';
import { type Address, type Endpoints, noAddress } from './address.ts';
import type { LostTrust } from './mtls/live-peers.ts';
import type { TlsSource } from './mtls/tls-source.ts';
import {
  encodeProxyHeader,
  type ProxyProtocolVersion,
} from './proxy-protocol/encode-proxy-header.ts';

export interface DialerTls {
  readonly source: TlsSource;
  /** Who the server must be. */
  readonly policy: PeerPolicy;
  readonly protocols: readonly string[];
}

export type DialFailure = 'connect' | 'timeout' | 'tls' | 'tls_not_ready' | 'peer_refused';

export type DialOutcome =
  | { readonly kind: 'connected'; readonly connection: Connection; readonly generation: number }
  | { readonly kind: 'failed'; readonly code: DialFailure; readonly detail: string };

export interface Dialer {
  /**
   * Calls `done` once, never before it returns. `from` is the connection this one is dialled for, where it is
   * for one alone: a dialer with a PROXY protocol tells of it.
   */
  dial(endpoint: Address, done: (outcome: DialOutcome) => void, from?: Endpoints): void;
  /** The generation of TLS material that a new connection would have; 0 in clear. */
  generation(): number;
}

export interface DialerDeps extends ConnectionDeps {
  readonly log: Logger;
  readonly connectMsMax: number;
  /** Begins each connection with a PROXY header, before TLS. */
  readonly proxyProtocol: ProxyProtocolVersion | undefined;
  /** A live connection is ended because what it stood on was withdrawn. */
  readonly onEnded: (why: LostTrust) => void;
}

export function createDialer(tls: DialerTls | undefined, deps: DialerDeps): Dialer {
  return {
    generation: () => tls?.source.generation() ?? 0,
    dial(endpoint, done, from) {
      const attempt = new DialAttempt(deps, done);
      const { proxyProtocol } = deps;
      const unknown = { source: noAddress, destination: noAddress };
      const header =
        proxyProtocol === undefined ? undefined : encodeProxyHeader(proxyProtocol, from ?? unknown);
      if (tls === undefined) dialClear(endpoint, header, attempt);
      else dialTls(endpoint, header, tls, attempt, deps);
    },
  };
}

function dialClear(endpoint: Address, header: Buffer | undefined, attempt: DialAttempt): void {
  const { onread } = attempt.inlet;
  const options = { ...endpoint, allowHalfOpen: true, noDelay: true, ...keepAlive, onread };
  const socket = connectTcp(options);
  attempt.watch(socket, 'connect');
  socket.once('connect', () => {
    if (header !== undefined) socket.write(header);
    attempt.succeed(socket, undefined, 0);
  });
}

function dialTls(
  endpoint: Address,
  header: Buffer | undefined,
  tls: DialerTls,
  attempt: DialAttempt,
  deps: DialerDeps,
): void {
  const answer = tls.source.current();
  if (answer.kind === 'not_ready') {
    attempt.failLater('tls_not_ready', answer.detail);
    return;
  }
  const { material } = answer;
  const options = {
    ...(header === undefined
      ? { ...endpoint, onread: attempt.inlet.onread }
      : { socket: attempt.behind(header, endpoint) }),
    allowHalfOpen: true,
    secureContext: material.identity.context,
    // The server is judged below. Its SPIFFE ID is what counts, so no host name is compared.
    rejectUnauthorized: false,
    ...(tls.protocols.length === 0 ? {} : { ALPNProtocols: [...tls.protocols] }),
  };
  const socket: TLSSocket = connectTls(options);
  attempt.watch(socket, 'tls');
  socket.once('connect', () => {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAlive.keepAliveInitialDelay);
  });
  socket.once('secureConnect', () => {
    const outcome = tls.source.verify(peerChainOf(socket), 'serverAuth', tls.policy);
    if (outcome.kind === 'refused') attempt.fail('peer_refused', outcome.detail);
    else {
      const connection = attempt.succeed(socket, outcome.id, material.generation);
      const forget = tls.source.watchPeer({
        ...outcome,
        generation: material.generation,
        retire: () => connection.retire(),
        end(why, reason) {
          deps.onEnded(why);
          deps.log.warn('a TLS connection was ended', { peer: outcome.id, reason });
          connection.destroy(reason);
        },
      });
      socket.once('close', forget);
    }
  });
}

/** One dial's end, whichever of its causes comes first. */
class DialAttempt implements Expiring {
  readonly inlet = new Inlet();
  #hasInlet = true;
  deadlineMs: number;
  readonly #deps: DialerDeps;
  #socket: Socket | undefined;
  #done: ((outcome: DialOutcome) => void) | undefined;

  constructor(deps: DialerDeps, done: (outcome: DialOutcome) => void) {
    this.#deps = deps;
    this.#done = done;
    this.deadlineMs = deps.deadlines.in(deps.connectMsMax);
    deps.deadlines.add(this);
  }

  /** A socket that sends the header as soon as it can, ahead of the handshake that is made over it. */
  behind(header: Buffer, endpoint: Address): Socket {
    const socket = connectTcp({ ...endpoint, allowHalfOpen: true, noDelay: true, ...keepAlive });
    socket.on('error', (error) => this.fail('connect', error.message));
    socket.write(header);
    // Node gives a TLS socket over another one no buffer to read into.
    this.#hasInlet = false;
    return socket;
  }

  watch(socket: Socket, code: 'connect' | 'tls'): void {
    this.#socket = socket;
    let isConnected = false;
    socket.once('connect', () => {
      isConnected = true;
    });
    const failed = (detail: string): void => this.fail(isConnected ? code : 'connect', detail);
    socket.on('error', (error) => failed(error.message));
    socket.once('close', () => failed('the peer closed the connection'));
  }

  succeed(socket: Socket, peer: Connection['peer'], generation: number): Connection {
    const connection = new Connection(
      socket,
      peer,
      this.#deps,
      this.#hasInlet ? this.inlet : undefined,
    );
    this.#finish({ kind: 'connected', connection, generation });
    return connection;
  }

  fail(code: DialFailure, detail: string): void {
    if (code === 'peer_refused' && this.#done !== undefined) {
      const peer = `${this.#socket?.remoteAddress ?? '?'}:${this.#socket?.remotePort ?? 0}`;
      this.#deps.log.warn('a TLS server was refused', { peer, reason: detail });
    }
    this.#finish({ kind: 'failed', code, detail });
  }

  /** For a failure known at once: the caller is still inside `dial`. */
  failLater(code: DialFailure, detail: string): void {
    queueMicrotask(() => this.fail(code, detail));
  }

  onDeadline(): void {
    this.fail('timeout', 'no connection within the time allowed');
  }

  #finish(outcome: DialOutcome): void {
    const done = this.#done;
    if (done === undefined) return;
    this.#done = undefined;
    this.deadlineMs = never;
    this.#deps.deadlines.delete(this);
    if (outcome.kind === 'failed') this.#socket?.destroy();
    done(outcome);
  }
}
