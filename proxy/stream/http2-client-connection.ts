/** The upstream half of HTTP/2: one connection, as many exchanges side by side as the server allows. */

import type { Connection, ConnectionListener } from '../net/connection.ts';
import { errorCode } from '../protocol/http2/error-code.ts';
import { http2Codec } from '../protocol/http2/http2-codec.ts';
import type { Http2Stream } from '../protocol/http2/http2-stream.ts';
import { Http2Session, type SessionEvents } from '../protocol/http2/session.ts';
import type { ClientDeps, SharedConnection, SharedOwner } from './exchange-protocol.ts';
import { Http2ClientStream } from './http2-client-stream.ts';
import type { ClientStream } from './stream.ts';

export class Http2ClientConnection implements ConnectionListener, SessionEvents, SharedConnection {
  /** Which TLS material it was made under. */
  readonly generation: number;
  readonly deps: ClientDeps;
  readonly #connection: Connection;
  readonly #owner: SharedOwner;
  readonly #session: Http2Session;
  #isReady = false;
  #isSocketFull = false;
  #hasHeard = false;
  #isProbing = false;
  #isOver = false;
  #opened = 0;

  constructor(connection: Connection, generation: number, owner: SharedOwner, deps: ClientDeps) {
    this.#connection = connection;
    this.generation = generation;
    this.#owner = owner;
    this.deps = deps;
    this.#session = new Http2Session({ role: 'client', clock: deps.clock }, this);
    // Until its settings come nothing is asked of the server: how much it takes at once is not known.
    connection.expireIn(deps.timeouts.responseMs);
    connection.attach(this);
    this.#session.start();
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  get openCount(): number {
    return this.#session.openCount;
  }

  /** How many streams were begun on it. */
  get openedCount(): number {
    return this.#opened;
  }

  /** Whether the server's settings have come. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get mayOpen(): boolean {
    return this.#isReady && this.#session.mayOpen;
  }

  /** Whether it takes no further stream for ever. */
  get isLeaving(): boolean {
    return this.#isOver || this.#session.isLeaving;
  }

  /** Whether the server takes an extended CONNECT (RFC 8441 §3). */
  get allowsConnect(): boolean {
    return this.#session.outgoing.settings.enableConnectProtocol;
  }

  newStream(): ClientStream {
    return new Http2ClientStream(this);
  }

  open(): Http2Stream {
    this.#opened += 1;
    const stream = this.#session.open();
    if (this.#session.openCount === 1) this.#time();
    return stream;
  }

  /** Takes no more streams, and goes when those that it has are done. */
  retire(): void {
    this.#session.shutdown();
    if (this.#session.openCount === 0) this.close();
  }

  close(): void {
    if (this.#isOver) return;
    this.#session.close(errorCode.noError, '');
    this.onFlush();
    this.#connection.endAndDiscard(this.deps.timeouts.idleMs);
    this.#leave();
  }

  onData(bytes: Buffer): void {
    this.#hasHeard = true;
    http2Codec.decode(this.#session, bytes);
  }

  onFlush(): void {
    let hasRoom = true;
    for (const part of http2Codec.encode(this.#session)) hasRoom = this.#connection.write(part);
    if (hasRoom || this.#isSocketFull) return;
    this.#isSocketFull = true;
    this.#session.setSocketFull(true);
  }

  onDrain(): void {
    this.#isSocketFull = false;
    this.#session.setSocketFull(false);
  }

  onEnd(): void {
    this.#fail('the server closed the connection');
  }

  /**
   * Without a stream the connection has been idle for long enough. With some, silence is broken by a
   * PING: a server that is there answers, however long its streams have nothing to say.
   */
  onDeadline(): void {
    if (!this.#isReady) {
      this.#fail('the server sent no settings in time');
    } else if (this.#session.openCount === 0) {
      this.close();
    } else if (this.#isProbing && !this.#hasHeard) {
      this.#fail('the server does not answer');
    } else {
      this.#isProbing = !this.#hasHeard;
      if (this.#isProbing) http2Codec.heartbeat.probe(this.#session);
      this.#time();
    }
  }

  onClose(reason: string | undefined): void {
    this.#fail(reason ?? 'the server closed the connection');
  }

  onOutput(): void {
    this.#connection.requestFlush();
  }

  onReady(): void {
    this.#isReady = true;
    this.#time();
    this.#owner.onRoom(this);
  }

  onGoaway(): void {
    if (this.#session.openCount === 0) this.close();
  }

  onIdle(): void {
    if (this.#session.isLeaving) this.close();
    else this.#time();
  }

  /** A stream has ended, and made room for another. */
  onStreamEnd(): void {
    if (!this.#isOver) this.#owner.onRoom(this);
  }

  onFault(): void {
    this.#owner.onProtocolError();
    this.onFlush();
    this.#connection.endAndDiscard(this.deps.timeouts.idleMs);
    this.#leave();
  }

  /** A client is asked nothing. */
  onRequest(): void {}

  onOversizedRequest(): void {}

  #time(): void {
    const { responseMs, idleMs } = this.deps.timeouts;
    this.#hasHeard = false;
    this.#connection.expireIn(this.#session.openCount === 0 ? idleMs : responseMs);
  }

  #fail(reason: string): void {
    this.#leave();
    this.#session.abandon(reason);
    this.#connection.destroy(reason);
  }

  #leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onConnectionLost(this);
  }
}
