/** Opens a connection to an endpoint, in mutual TLS where the cluster says so and never in clear then. */

import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Logger } from '../../core/index.ts';
import type { PeerPolicy } from '../../policies/index.ts';
import { peerChainOf } from '../../rpc/index.ts';
import { Connection } from './connection.ts';
import { type Deadlines, type Expiring, never } from './deadlines.ts';
import { Inlet } from './inlet.ts';
import type { Address } from './listener.ts';
import type { TlsSource } from './mtls/tls-source.ts';

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
  /** Calls `done` once, never before it returns. */
  dial(endpoint: Address, done: (outcome: DialOutcome) => void): void;
  /** The generation of TLS material that a new connection would have; 0 in clear. */
  generation(): number;
}

export interface DialerDeps {
  readonly log: Logger;
  readonly deadlines: Deadlines;
  readonly connectMsMax: number;
}

export function createDialer(tls: DialerTls | undefined, deps: DialerDeps): Dialer {
  return {
    generation: () => tls?.source.generation() ?? 0,
    dial(endpoint, done) {
      const attempt = new DialAttempt(deps, done);
      if (tls === undefined) dialClear(endpoint, attempt);
      else dialTls(endpoint, tls, attempt);
    },
  };
}

function dialClear(endpoint: Address, attempt: DialAttempt): void {
  const { onread } = attempt.inlet;
  const options = { ...endpoint, allowHalfOpen: true, noDelay: true, keepAlive: true, onread };
  const socket = connectTcp(options);
  attempt.watch(socket, 'connect');
  socket.once('connect', () => attempt.succeed(socket, undefined, 0));
}

function dialTls(endpoint: Address, tls: DialerTls, attempt: DialAttempt): void {
  const answer = tls.source.current();
  if (answer.kind === 'not_ready') {
    attempt.failLater('tls_not_ready', answer.detail);
    return;
  }
  const { material } = answer;
  const options = {
    ...endpoint,
    allowHalfOpen: true,
    onread: attempt.inlet.onread,
    secureContext: material.identity.context,
    // The server is judged below. Its SPIFFE ID is what counts, so no host name is compared.
    rejectUnauthorized: false,
    ...(tls.protocols.length === 0 ? {} : { ALPNProtocols: [...tls.protocols] }),
  };
  const socket: TLSSocket = connectTls(options);
  attempt.watch(socket, 'tls');
  socket.once('connect', () => {
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
  });
  socket.once('secureConnect', () => {
    const outcome = tls.source.verify(peerChainOf(socket), 'serverAuth', tls.policy);
    if (outcome.kind === 'refused') attempt.fail('peer_refused', outcome.detail);
    else {
      const connection = attempt.succeed(socket, outcome.id, material.generation);
      const forget = tls.source.watchPeer(outcome.certificate, (reason) => {
        attempt.revoked(outcome.id, reason);
        connection.destroy(reason);
      });
      socket.once('close', forget);
    }
  });
}

/** One dial's end, whichever of its causes comes first. */
class DialAttempt implements Expiring {
  readonly inlet = new Inlet();
  deadlineMs: number;
  readonly #deadlines: Deadlines;
  readonly #log: Logger;
  #socket: Socket | undefined;
  #done: ((outcome: DialOutcome) => void) | undefined;

  constructor(deps: DialerDeps, done: (outcome: DialOutcome) => void) {
    this.#deadlines = deps.deadlines;
    this.#log = deps.log;
    this.#done = done;
    this.deadlineMs = deps.deadlines.in(deps.connectMsMax);
    deps.deadlines.add(this);
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
    const connection = new Connection(socket, peer, this.#deadlines, this.inlet);
    this.#finish({ kind: 'connected', connection, generation });
    return connection;
  }

  fail(code: DialFailure, detail: string): void {
    if (code === 'peer_refused' && this.#done !== undefined) {
      const peer = `${this.#socket?.remoteAddress ?? '?'}:${this.#socket?.remotePort ?? 0}`;
      this.#log.warn('a TLS server was refused', { peer, reason: detail });
    }
    this.#finish({ kind: 'failed', code, detail });
  }

  revoked(peer: Connection['peer'], reason: string): void {
    this.#log.warn('a TLS server was revoked', { peer, reason });
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
    this.#deadlines.delete(this);
    if (outcome.kind === 'failed') this.#socket?.destroy();
    done(outcome);
  }
}
